"""Controls around a picture: what every lesson's widget is made of.

    class Serial(Explorer):
        def __init__(self):
            share = control(FloatSlider, "Serial share s", max=1)
            super().__init__([{"most": choose("Axes", [16, 64]), "serial": share}])

        def draw(self, ax, most):
            return speedup.draw(ax, results, most=most, title="", named=False)

        def move(self, ax, most, serial):
            return speedup.over(ax, most, what_if=Curve.of_law(Amdahl(serial), most))

Controls are as large as the prose beside them, so that they grow with it where a reader or a projector zooms,
and are named to a screen reader: ipywidgets gives a slider's handle and a player's buttons no name and has no
live region, so that it would say "slider, 4", and never that a run has ended.
"""

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from html import escape
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.figures import style
from hpclab.widgets.point_runner import sentence_of

_LINE = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 20px"}
_CANNOT = "This cannot be drawn:"
_CSS = f"""
.hpclab-widget {{--jp-widgets-font-size:{style.PROSE}; --jp-widgets-inline-height:30px;
  --jp-widgets-inline-label-width:auto; --jp-widgets-label-color:{style.INK};
  --jp-widgets-readout-color:{style.INK}; background:{style.GROUND}; color:{style.INK};
  max-width:{style.WIDTH}px; padding:4px}}
.hpclab-widget .widget-html-content {{line-height:1.35; font-size:{style.PROSE}; color:{style.INK}}}
.hpclab-widget .jupyter-button {{width:auto; padding:0 12px}}
.hpclab-widget .slider-container {{margin-left:14px}}
.hpclab-widget .progress {{height:14px; margin-top:8px}}
.hpclab-widget :is(.noUi-handle, button, select, input):focus-visible
  {{outline:3px solid {style.COLOUR["queue wait"]}; outline-offset:2px}}
.hpclab-over {{pointer-events:none}}
.hpclab-spoken {{position:absolute; width:1px; height:1px; margin:0; overflow:hidden; clip-path:inset(50%)}}
"""
# Run by the browser when the style sheet arrives, and again for whatever comes into the box after it. The
# region is told to speak itself: a region that comes into the page together with its text is not read.
_NAMES = (
    "const root=this.closest('.hpclab-widget');const name=()=>{"
    "root.querySelectorAll('.widget-slider').forEach(s=>s.querySelectorAll('.noUi-handle').forEach("
    "h=>h.setAttribute('aria-label',s.querySelector('label').textContent)));"
    "root.querySelectorAll('.hpclab-spoken').forEach(s=>{"
    "s.setAttribute('role','status');s.setAttribute('aria-live','polite')});"
    "for(const [icon,said] of [['play','Play or pause'],['pause','Play or pause'],"
    "['stop','Back to the start']])root.querySelectorAll('button > i.fa-'+icon).forEach("
    "i=>{i.parentElement.setAttribute('aria-label',said);i.parentElement.title=said})};"
    "name();new MutationObserver(name).observe(root,{childList:true,subtree:true})"
)
_KEPT = 8  # pictures that stand, so that a way back is as quick as what moves

Row = Any  # controls by name, or a widget


def control(kind: type, label: str, **traits: Any) -> Any:
    """A control of `kind`, a class of ipywidgets, as wide as it needs; a slider takes what room there is."""
    layout = {"width": "auto", **({"flex": "1 1 300px"} if hasattr(kind, "readout") else {})}
    if kind is not widgets.Button:
        traits = {"style": {"description_width": "initial"}, **traits}
    return kind(**{"description": label, "layout": layout, **traits})


def button(label: str, tooltip: str, pressed: Callable[[], object] = bool, **traits: Any) -> Any:
    """A button that calls `pressed`."""
    made = control(widgets.Button, label, tooltip=tooltip or None, **traits)
    made.on_click(lambda _button: pressed())
    return made


def choose(label: str, options: Iterable[Any], value: Any = None, kind: Any = widgets.Dropdown) -> Any:
    """A list to choose from, of values or of pairs (name, value): at `value`, else at the first."""
    listed = list(options)
    values = _values(listed)
    return control(kind, label, options=listed, index=values.index(value) if value in values else 0)


def slide(label: str, options: Iterable[Any], value: Any = None) -> Any:
    """A slider over options, of values or of pairs (name, value)."""
    return choose(label, options, value, widgets.SelectionSlider)


def offer(chooser: Any, options: Sequence[Any], *wanted: Any) -> None:
    """Give `chooser` other options; its value is the first of `wanted` among them, else the first of them."""
    values = _values(options)
    chooser.options = options  # selects the first
    chooser.value = next((value for value in wanted if value in values), values[0])


def _values(options: Sequence[Any]) -> list[Any]:
    return [option[1] if isinstance(option, tuple) else option for option in options]


def show(visible: bool, *controls: widgets.Widget) -> None:
    """Show or hide `controls`."""
    for one in controls:
        one.layout.display = None if visible else "none"


class Explorer(widgets.VBox):
    """A picture with controls: `rows` of them by name (or any widget as a row) above, rows `under` it; then a
    note, and what comes `after` it. A subclass says what is shown, in methods that are called with the values
    of the controls that their parameters name; `*every` names all:

    - `draw(ax, ...)` draws on Axes of HEIGHT pixels, or, without a parameter `ax`, returns a diagram's markup
      or the Axes it made; `shown` is what it returned. It stands until one of its controls changes.
    - `move(ax, ...)` returns an Overlay of those Axes, laid over them at every key press, in about 1 ms.
    - `describe(...)` returns what a screen reader reads, also the overlay's alternative text; else the title.
    - `notes(...)` returns the lines of the note, the first in full ink, unless it is "", the others in grey.
    - `adapt(name)` is called before all of these when the control of that name has changed, and with "" at
      the beginning; it may set other controls, which are drawn with it, once.

    An error that one of them raises becomes a sentence in place of the picture.
    """

    HEIGHT = 430.0
    draw: Callable[..., Any]
    move: Callable[..., Any] = lambda self, ax: None
    describe: Callable[..., str] = lambda self: self.headline()
    notes: Callable[..., Sequence[str]] = lambda self: ()
    adapt: Callable[..., object] = lambda self, changed: None

    def __init__(self, rows: Sequence[Row], *, under: Sequence[Row] = (), after: Sequence[Row] = ()) -> None:
        super().__init__()
        named = [row for row in (*rows, *under) if isinstance(row, Mapping)]
        self.controls = {name: one for row in named for name, one in row.items()}
        self._on_axes = "ax" in inspect.signature(self.draw).parameters
        self._held, self._drawing, self._heard = False, threading.RLock(), ("", "")
        self.shown: Any = None
        self._stand, self._noted = lru_cache(_KEPT)(self._drawn), lru_cache(1)(self.notes)
        self.picture, self.moving, self.note, self.announcer = (widgets.HTML() for _ in range(4))
        self.announcer.add_class("hpclab-spoken")
        for layer in (self.picture, self.moving):
            layer.layout.grid_area = "1 / 1"
        self.moving.add_class("hpclab-over")
        self.add_class("hpclab-widget")
        layers = widgets.Box([self.picture, self.moving], layout={"display": "grid"})
        self.children = [
            *map(_row, rows), layers, *map(_row, under), self.note, *map(_row, after), self.announcer,
            widgets.HTML(f'<style onload="{_NAMES}">{_CSS}</style>', layout={"height": "0", "margin": "0"}),
        ]  # fmt: skip
        for name, one in self.controls.items():
            if one.has_trait("value"):
                one.observe(lambda _change, name=name: self._changed(name), "value")
        self._changed("")

    def headline(self) -> str:
        """The title of the Axes that are shown."""
        return self.shown.get_title("left") if isinstance(self.shown, Axes) else ""

    @property
    def at(self) -> SimpleNamespace:
        """The controls' values, by their names."""
        return SimpleNamespace(**{name: getattr(one, "value", None) for name, one in self.controls.items()})

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Draw what a `with` block sets of the controls as one change; a screen reader reads what is new."""
        self._held = True
        try:
            yield
        except Exception as error:  # a callback has nobody who would see a traceback
            self.fail(sentence_of(error, _CANNOT))
            return
        finally:
            self._held = False
        self.redraw(aloud=True)

    def redraw(self, *, aloud: bool = False, anew: bool = False) -> None:
        """Draw for the controls' values, from any thread; `aloud`: read out; `anew`: `forget` first."""
        if anew:
            self.forget()
        try:
            with self._drawing:
                self._show(aloud)
        except Exception as error:
            self.fail(sentence_of(error, _CANNOT))

    def forget(self) -> None:
        """Drop the pictures and the note that are kept."""
        self._stand.cache_clear()
        self._noted.cache_clear()

    def fail(self, sentence: str) -> None:
        """Say what is wrong in place of the picture."""
        self.picture.value = self.moving.value = ""
        self.note.value = f'<div role="alert">{escape(sentence)}</div>'

    def say(self, lines: Sequence[str]) -> None:
        """Set the note: its first line in full ink, unless it is empty, and the others in grey below it."""
        first, *rest = lines or [""]
        tag = "li" if len(rest) > 1 else "div"
        more = "".join(f"<{tag}>{escape(line)}</{tag}>" for line in rest)
        css = f"margin:0;padding-left:{'1.2em' if tag == 'li' else 0};color:{style.MUTED}"
        listed = f'<ul style="{css}">{more}</ul>' * bool(more)
        self.note.value = f"<div>{escape(first)}</div>" * bool(first) + listed

    def announce(self, sentence: str) -> None:
        """Have `sentence` read out, unless it was the last one; say what matters, not every step."""
        self.announcer.value = f"<span>{escape(sentence)}</span>"

    def _changed(self, name: str) -> None:
        if not self._held:
            with self.at_once():
                self.adapt(name)

    def _values(self, function: Callable[..., Any]) -> list[Any]:
        """The values of the controls that the parameters of `function` name."""
        values: list[Any] = []
        for name, one in inspect.signature(function).parameters.items():
            names = [*self.controls] if one.kind is one.VAR_POSITIONAL else [name] * (name != "ax")
            values += [self.controls[name].value for name in names]
        return values

    def _drawn(self, *values: Any) -> tuple[str, Any]:
        """Call `draw` with `values`; return the picture as markup, and what `draw` returned."""
        with style.drawing_context():
            axes = [style.figure(height=self.HEIGHT)[1]] if self._on_axes else []
            drawn = self.draw(*axes, *values)
        return drawn if isinstance(drawn, str) else style.svg(drawn.figure), drawn

    def _show(self, aloud: bool) -> None:
        picture, self.shown = self._stand(*self._values(self.draw))
        over = self.move(self.shown, *self._values(self.move))
        description = self.describe(*self._values(self.describe))
        note = self._noted(*self._values(self.notes))
        attributes = f'role="img" aria-label="{escape(description)}" style="position:relative"'
        self.picture.value = picture  # here nothing fails any more
        self.moving.value = f"<div {attributes}>{over.svg()}</div>" if over else ""
        self.say(note)
        before, self._heard = self._heard, (description, " ".join(note))
        news = [new.strip() for new, old in zip(self._heard, before, strict=True) if new and new != old]
        if aloud and news:
            self.announce(" ".join(new if new[-1] in ".!?" else f"{new}." for new in news))


def _row(row: Row) -> widgets.Widget:
    return row if isinstance(row, widgets.Widget) else widgets.HBox(list(row.values()), layout=_LINE)
