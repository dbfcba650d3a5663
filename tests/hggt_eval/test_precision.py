import torch

from hggt_eval.metrics.precision import full_precision


def test_full_precision_is_put_back() -> None:
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    with torch.autocast("cpu"), full_precision("cpu"):
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
        assert not torch.backends.cudnn.allow_tf32  # the older switch can be read
        assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
    assert torch.backends.cudnn.conv.fp32_precision == before  # type: ignore[attr-defined]
