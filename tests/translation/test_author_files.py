"""The authors' files give the photos that their formulas give, and anything else is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.translation import oracle
from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.precision import Precision
from vgsearch.translation.author_files import find_author_files, read_decoder, read_encoder
from vgsearch.translation.gan_translator import GanTranslator, to_network, to_photos, translated
from vgsearch.translation.weights import load_translator

CPU = torch.device("cpu")
FP32 = Precision(torch.float32, use_scaler=False)
PHOTOS = torch.randint(0, 256, (2, 3, 20, 27), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oracle.write_author_files(tmp_path_factory.mktemp("weights"))


def load(folder: Path, source: str = "night", target: str = "day", **options) -> GanTranslator:
    return load_translator(folder, source=source, target=target, device=CPU, precision=FP32, **options)


@pytest.mark.parametrize(
    ("source", "target", "domains", "encoder", "decoder"),
    [
        ("night", "day", None, 1, 2),  # published: 0 is day, so 1 encodes night and 2 decodes day
        ("day", "night", None, 0, 3),
        ("night", "day", ("night", "day"), 0, 3),
    ],
)
def test_same_photos_as_plain_formulas(folder, source, target, domains, encoder, decoder):
    ours = load(folder, source, target, domains=domains, load_px=0)
    x = PHOTOS.float() / 255 * 2 - 1
    code = oracle.encode(oracle.encoder_tensors(encoder), x)
    expected = oracle.decode(oracle.decoder_tensors(decoder), code)[:, :, :20, :27]
    with torch.no_grad():
        given = translated(ours.encoder, ours.decoder, to_network(PHOTOS))
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-4)
    pixels = (expected + 1) / 2 * 255
    assert (ours.translate(PHOTOS).float() - pixels).abs().max() <= 0.51


def test_a_photo_does_not_depend_on_its_batch(folder):
    ours = load(folder)
    alone = torch.cat([ours.translate(photo[None]) for photo in PHOTOS])
    assert (alone.int() - ours.translate(PHOTOS).int()).abs().max() <= 1


def test_rounding_there_and_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_photos(to_network(levels)), levels)


def test_files_of_an_old_torch(folder, tmp_path):
    old = oracle.write_author_files(tmp_path, legacy=True)
    assert torch.equal(load(old).translate(PHOTOS), load(folder).translate(PHOTOS))


def test_the_last_epoch_or_that_asked_for(folder, tmp_path):
    for epoch, channels in ((5, 4), (10, 6)):
        oracle.write_author_files(tmp_path, epoch=epoch, channels=channels)
    assert find_author_files(tmp_path).epoch == 10
    assert load(tmp_path, epoch=5).encoder.shape.channels == 4
    assert load(tmp_path).provenance["epoch"] == 10
    with pytest.raises(WeightsError, match=r"no 7_net_G0.pth; it has epochs 5, 10"):
        load(tmp_path, epoch=7)


def test_three_domains(tmp_path):
    oracle.write_author_files(tmp_path, domains=3)
    found = find_author_files(tmp_path, ("day", "dusk", "night"))
    assert found.encoder_file("dusk").name == "150_net_G1.pth"
    assert found.decoder_file("night").name == "150_net_G5.pth"
    with pytest.raises(WeightsError, match=r"has 6 files of epoch 150, up to 150_net_G5.pth, but 2 domains"):
        load(tmp_path)


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="--from must be one of day, night, got 'dusk'"):
        load(folder, "dusk")
    with pytest.raises(ConfigError, match="two domains, got 'day' twice"):
        load(folder, "day", "day")
    with pytest.raises(WeightsError, match="no folder"):
        load(folder / "150_net_G0.pth")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no"):
        load(tmp_path / "empty")
    part = oracle.write_author_files(tmp_path / "part")
    (part / "150_net_G3.pth").unlink()
    with pytest.raises(WeightsError, match=r"has no 150_net_G3.pth"):
        load(part)


def rewritten(tmp_path: Path, change) -> Path:
    tensors = oracle.encoder_tensors(0)
    change(tensors)
    path = tmp_path / "1_net_G0.pth"
    torch.save(tensors, path)
    return path


def test_files_of_other_networks(tmp_path, folder):
    with pytest.raises(WeightsError, match=r"no encoder of ToDayGAN: it has no model\.1\.weight"):
        read_encoder(folder / "150_net_G2.pth")
    with pytest.raises(WeightsError, match="no decoder of ToDayGAN: no model"):
        read_decoder(folder / "150_net_G0.pth")
    path = rewritten(tmp_path, lambda tensors: tensors.pop("model.4.bias"))
    with pytest.raises(WeightsError, match=r"1 missing \(model.4.bias\)"):
        read_encoder(path)
    path = rewritten(tmp_path, lambda tensors: tensors.update({"model.2.weight": torch.ones(6)}))
    with pytest.raises(WeightsError, match=r"1 unexpected \(model.2.weight\)"):
        read_encoder(path)
    path = rewritten(tmp_path, lambda tensors: tensors["model.1.weight"].fill_(torch.nan))
    with pytest.raises(WeightsError, match="NaN"):
        read_encoder(path)
    path = rewritten(
        tmp_path,
        lambda tensors: tensors.update({"model.10.conv_block.6.weight": torch.ones(24, 24, 3, 3)}),
    )
    with pytest.raises(WeightsError, match="--use_dropout"):
        read_encoder(path)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_no_code_is_run(tmp_path, capsys):
    path = rewritten(tmp_path, lambda tensors: tensors.update({"evil": Evil()}))
    with pytest.raises(WeightsError, match="holds more than tensors"):
        read_encoder(path)
    assert not capsys.readouterr().out
