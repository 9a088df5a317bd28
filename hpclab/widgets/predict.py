"""The control in which a learner commits to a number before the run, or skips it."""

import html
from collections.abc import Callable

import ipywidgets as widgets

from hpclab.exercises.prediction import Prediction
from hpclab.widgets.explorer import button, control


def ask(prediction: Prediction, on_decided: Callable[[Prediction], object] = bool) -> widgets.HBox:
    """A labelled number field with "Commit" and "Skip"; what is committed goes into `prediction`. Nothing
    waits for it. Input that is no number in range gets one sentence and stays editable. After the decision
    the controls are disabled and `on_decided(prediction)` is called once."""
    label = f"{prediction.name} ({prediction.unit})" if prediction.unit else prediction.name
    field = control(
        widgets.Text, label, placeholder=f"{prediction.low:g} to {prediction.high:g}",
        layout={"width": f"calc({9 + 0.55 * len(label):.0f} * var(--jp-widgets-font-size))"},
    )  # fmt: skip
    message = widgets.HTML()

    def say(text: str, role: str = "status") -> None:
        colour = "#B23A00" if role == "alert" else "inherit"
        css = f"color:{colour};line-height:1.45"
        message.value = f'<div role="{role}" style="{css}">{html.escape(text)}</div>'

    def decide(how: Callable[[], object]) -> None:
        try:
            how()
        except ValueError as error:
            say(str(error), "alert")
        else:
            decided()
            on_decided(prediction)

    def decided() -> None:
        for one in controls:
            one.disabled = True
        say(prediction.text[0].upper() + prediction.text[1:] + ".")

    def skip_it() -> None:
        if not prediction.decided:
            decide(prediction.skip)

    tip, blue = "Keep this number as my prediction", {"button_style": "primary"}
    commit = button("Commit", tip, lambda: decide(lambda: prediction.commit(_number(field.value))), **blue)
    skip = button("Skip", "Go on without a prediction", skip_it)
    controls = [field, commit, skip]
    if prediction.decided:
        decided()
    layout = {"flex_flow": "row wrap", "align_items": "center"}
    return widgets.HBox([*controls, message], layout=layout)


def _number(text: str) -> float | str:
    """The number that `text` writes; the text itself where it writes none, for the check to name."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return text
