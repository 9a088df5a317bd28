"""A widget as a page without a kernel can keep it: what it showed when the run ended, as plain HTML.

What a widget's HTML says is shown as it is (figures are SVG). Controls are native ones, disabled, with the
value they had; nothing here needs a script.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

States = Mapping[str, Mapping[str, Any]]  # as nbformat keeps them: model_id -> model_name and state


def of(states: States, model: str) -> str:
    """The widget with this id as HTML. ValueError names a kind of widget that is not known here."""
    kind, state = states[model]["model_name"].removesuffix("Model"), states[model]["state"]
    layout = states.get(state.get("layout", "").removeprefix("IPY_MODEL_"), {}).get("state", {})
    classes = " ".join(state.get("_dom_classes", ()))
    if layout.get("display") == "none" or "hpclab-spoken" in classes or kind == "FloatProgress":
        return ""  # hidden, heard only while it is live, or how far a run is that has ended
    label, value = escape(state.get("description") or ""), state.get("value")
    match kind:
        case "Box" | "HBox" | "VBox":
            inside = "".join(of(states, child.removeprefix("IPY_MODEL_")) for child in state["children"])
            grid = layout.get("display") == "grid"  # a figure, and what moves over it
            return f'<div class="{"layers" if grid else kind.lower()} {classes}">{inside}</div>'
        case "HTML":
            shown = value and not value.startswith("<style onload")  # Explorer's own look, with a script
            return f'<div class="{classes}">{value}</div>' if shown else ""
        case "Dropdown" | "SelectionSlider":
            option = escape(str(state["_options_labels"][state["index"]]))
            control = f"<select disabled><option>{option}</option></select>"
        case "IntSlider" | "FloatSlider":
            ends = f'min="{state["min"]}" max="{state["max"]}" step="any" value="{value}"'
            control = f'<input type="range" disabled {ends}> <output>{value:.4g}</output>'
        case "Text":
            hint = escape(state.get("placeholder") or "")
            control = f'<input disabled value="{escape(value)}" placeholder="{hint}">'
        case "Checkbox":
            control = f'<input type="checkbox" disabled{" checked" * bool(value)}>'
        case "Button" | "FileUpload" | "Play":
            return f'<button type="button" disabled>{label or "▶ Play"}</button>'
        case _:
            raise ValueError(f"No page can show a {kind} yet: say how in docs/widget_pictures.py.")
    return f"<label><span>{label}</span> {control}</label>"
