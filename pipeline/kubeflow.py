"""The Kubeflow package: the same pipeline as a schema 2.1.0 YAML file that Kubeflow Pipelines v2 accepts."""

from pathlib import Path

from pipeline.config import Config
from pipeline.progress import quiet


def compile_package(config: Config, file: Path) -> None:
    """Writes the package of `config` to `file`, which must end in .yaml. Nothing is run."""
    quiet()
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    from pipeline.create import create_pipeline

    pipeline = create_pipeline(
        config,
        root=config.kubeflow.pipeline_root,
        releases=config.release.folder or f"{config.kubeflow.pipeline_root}/releases",
        stock_resolvers=True,
    )
    # 2.1.0: the open-source API server takes no other; 2.0 is Vertex's.
    options = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
        default_image=config.kubeflow.image, use_pipeline_spec_2_1=True, display_name=pipeline.pipeline_info.pipeline_name
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    kubeflow_v2_dag_runner.KubeflowV2DagRunner(config=options, output_dir=str(file.parent), output_filename=file.name).run(
        pipeline, write_out=True
    )
