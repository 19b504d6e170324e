"""The runner file of the local engine: `tfx pipeline create --engine local --pipeline_path local_runner.py`.

Reads M3NET_CATALOGUE, and if set M3NET_CONFIG, M3NET_OUTPUT and M3NET_SET ("part.key=value ...").
"""

from pipeline.local_runner import run

if __name__ == "__main__":
    run()
