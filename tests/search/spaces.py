"""A space with every kind of searched value, nested."""

from vgsearch.config.space import Choice, LogUniform, Space, Uniform

WIDE = Space(
    {
        "backbone": Choice(("resnet18.tv_in1k", "resnet50.tv_in1k")),
        "loss": Choice(
            (
                {"name": "cosface", "scale": Uniform(20, 64), "margin_cos": Uniform(0.2, 0.5)},
                {"name": "arcface", "scale": Uniform(20, 64), "margin_rad": Uniform(0.2, 0.6)},
            )
        ),
        "domain": Choice((None, {"grl_alpha": Uniform(0.1, 1.0)})),
        "lr": LogUniform(1e-6, 1e-4),
        "epochs": 3,
    }
)
