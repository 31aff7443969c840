"""`PerceptualMetric` in a Lightning module: logged by step and by epoch, and not part of its checkpoints."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import MetricCollection

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers, loggers and devices

from lightning import pytorch as lightning  # noqa: E402

from perceptmetrics.integrations.torchmetrics import PerceptualMetric  # noqa: E402
from tests.support.mean_colour_metric import tiny_metric  # noqa: E402

IMAGES = torch.rand((5, 3, 6, 5), generator=torch.Generator().manual_seed(0))
LABELS = ("joy", "fear")


class Restoration(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            self.net.weight.copy_(torch.eye(3)[:, :, None, None])
            self.net.bias.zero_()
        self.train_quality = PerceptualMetric(tiny_metric(), check_values=False)
        self.validation = MetricCollection(
            {
                "quality": PerceptualMetric(tiny_metric()),
                "joy": PerceptualMetric(tiny_metric(labels=LABELS), label="joy"),
            },
            prefix="val_",
        )
        self.feelings = PerceptualMetric(tiny_metric(labels=LABELS))
        self.steps = []

    def training_step(self, batch):
        value = self.train_quality(self.net(batch))
        self.steps.append(value.item())
        self.log("quality", self.train_quality, on_step=True, on_epoch=True)
        return -value

    def validation_step(self, batch):
        self.validation.update(batch)
        self.feelings.update(batch)
        self.log_dict(self.validation)

    def on_validation_epoch_end(self):
        self.log_dict({f"all_{name}": value for name, value in self.feelings.compute().items()})
        self.feelings.reset()

    def configure_optimizers(self):
        return torch.optim.SGD(self.net.parameters(), lr=0.5)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lightning")
    options = {"accelerator": "cpu", "max_epochs": 2, "logger": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(
        default_root_dir=folder, enable_progress_bar=False, enable_model_summary=False, **options
    )
    model = Restoration()
    batches = torch.utils.data.DataLoader(IMAGES, batch_size=2)
    trainer.fit(model, batches, batches)
    trainer.save_checkpoint(folder / "model.ckpt")
    return trainer, model, folder / "model.ckpt"


def test_what_is_logged_is_the_score_of_all_images(fitted):
    trainer, _, _ = fitted
    logged = trainer.callback_metrics
    torch.testing.assert_close(logged["val_quality"], tiny_metric()(IMAGES).mean())
    feelings = tiny_metric(labels=LABELS)(IMAGES).mean(dim=0)
    torch.testing.assert_close(logged["val_joy"], feelings[0])
    torch.testing.assert_close(torch.stack([logged["all_joy"], logged["all_fear"]]), feelings)


def test_steps_and_epochs_are_logged_apart_and_epochs_start_anew(fitted):
    trainer, model, _ = fitted
    last = model.steps[3:]
    assert trainer.callback_metrics["quality_step"].item() == pytest.approx(last[-1])
    assert trainer.callback_metrics["quality_epoch"].item() == pytest.approx((2 * last[0] + 2 * last[1] + last[2]) / 5)


def test_the_score_as_objective_trains_the_model(fitted):
    _, model, _ = fitted
    assert model.steps[3] > model.steps[0]
    assert model.steps[-1] > model.steps[2]


def test_checkpoints_hold_the_model_and_not_the_metric(fitted):
    _, _, checkpoint = fitted
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert set(state) == {"net.weight", "net.bias"}
    Restoration.load_from_checkpoint(checkpoint)
