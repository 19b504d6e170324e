"""The runner file for Kubeflow: `python kubeflow_v2_runner.py` writes the package, m3net.yaml in M3NET_OUTPUT.

Reads what local_runner.py reads.
"""

from pipeline.kubeflow_v2_runner import run

if __name__ == "__main__":
    run()
