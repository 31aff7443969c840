"""The methods by which people save, load and share models, under the names that they have in Hugging Face's libraries.

What they do is `create_metric`, `export.write` and `export.publish`; nothing is done here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.weights.resolve import ResolveOptions

__all__ = ["Pretrained"]

PathLike = str | os.PathLike[str]


class Pretrained:
    """`from_pretrained`, `save_pretrained` and `push_to_hub` of a metric.

    Attributes:
        loaded_from: How the exported metric was found that this one was loaded from; None for any other metric.
    """

    loaded_from: ResolveOptions | None = None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: PathLike,
        *,
        revision: str | None = None,
        cache_dir: PathLike | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> Metric:
        """Load a metric from the Hub or a folder.

        Args:
            pretrained_model_name_or_path: A repository `"organisation/name"`, a folder that `save_pretrained` wrote, or
                whatever `create_metric` takes. A folder of that name comes first, then a registered metric.
            revision: Branch, tag or commit of the repository; None for `"main"`.
            cache_dir: Folder of the Hub's cache; None for its default.
            token: Token of the Hub, for private repositories; None for `HF_TOKEN` or that of `hf auth login`.
            local_files_only: Never download. `HF_HUB_OFFLINE=1` has the same effect.
            **options: Further keywords of `create_metric`: `device`, `dtype`, `backbone_checkpoint`, ...

        Returns:
            The metric, frozen and in eval mode.

        Raises:
            InvalidOptionError: There is a revision, but no repository; or see `create_metric`.
            UnknownMetricError: No folder, metric or repository can have this name.
            WeightsError: A file is missing or does not fit.

        Examples:
            >>> from perceptmetrics import Metric
            >>> metric = Metric.from_pretrained("me/livec-quality", revision="main")  # doctest: +SKIP
        """
        from perceptmetrics.export.pretrained import load_pretrained

        return load_pretrained(
            pretrained_model_name_or_path,
            revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            **options,
        )

    def save_pretrained(
        self,
        save_directory: PathLike,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        backbone_checkpoint: PathLike | None = None,
        **push_to_hub_options: Any,
    ) -> str | None:
        """Write the metric as a folder that `from_pretrained` and `create_metric` load.

        The folder is read back and must reproduce the metric's scores. A metric that was loaded from such a folder and
        not changed since keeps its card, figures, recipe and report.

        Args:
            save_directory: Folder to write. A metric that was saved there is replaced; other files are not.
            repo_id: Repository for `push_to_hub`: `"organisation/name"`.
            push_to_hub: Whether to publish the folder as well.
            backbone_checkpoint: File of the encoder for the check, where it is neither in the cache nor on the Hub.
            **push_to_hub_options: See `push_to_hub`.

        Returns:
            Address of the repository; None without `push_to_hub`.

        Raises:
            InvalidOptionError: The metric has no trained part, is not in float32, or the folder holds other files.
            WeightsError: The copy would not reproduce the scores. Nothing was written.
            PublishingError: See `push_to_hub`.
        """
        from perceptmetrics.export.pretrained import save_pretrained

        return save_pretrained(
            self,  # type: ignore[arg-type]
            save_directory,
            repo_id,
            push=push_to_hub,
            backbone_checkpoint=backbone_checkpoint,
            **push_to_hub_options,
        )

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool = False,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        backbone_checkpoint: PathLike | None = None,
    ) -> str:
        """Publish the metric on the Hub, in one commit; the repository is created if it does not exist.

        Args:
            repo_id: `"organisation/name"`.
            commit_message: Summary of the commit; None for "Publish NAME".
            private: Whether a new repository is private.
            token: Token with write access; None for `HF_TOKEN` or that of `hf auth login`.
            revision: Branch to write to, created if it does not exist; None for `"main"`.
            create_pr: Whether to open a pull request in place of a commit on the branch.
            backbone_checkpoint: See `save_pretrained`.

        Returns:
            Address of the repository.

        Raises:
            InvalidOptionError: The metric has no trained part or is not in float32, or the name is invalid.
            WeightsError: The copy would not reproduce the scores.
            PublishingError: The Hub cannot be reached, or refuses.
        """
        from perceptmetrics.export.pretrained import push_pretrained

        return push_pretrained(
            self,  # type: ignore[arg-type]
            repo_id,
            backbone_checkpoint=backbone_checkpoint,
            commit_message=commit_message,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
        )
