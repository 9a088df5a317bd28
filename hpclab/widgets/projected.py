"""Controls that can be read from the back of a room and heard by somebody who cannot see them.

ipywidgets draws text at 13 pixels, gives a slider's handle and a player's buttons no name and has no live
region: a screen reader would say "slider, 4", and never that a run has ended.
"""

from __future__ import annotations

import ipywidgets as widgets

from hpclab.figures import style

_CSS = f"""
.hpclab-projected {{--jp-widgets-font-size:{style.TEXT:g}px; --jp-widgets-inline-height:36px;
  --jp-widgets-inline-label-width:auto; --jp-widgets-label-color:{style.INK};
  --jp-widgets-readout-color:{style.INK}; background:{style.GROUND}; color:{style.INK};
  max-width:{style.WIDTH}px; padding:4px}}
.hpclab-projected .widget-html-content {{line-height:1.35; font-size:{style.TEXT:g}px; color:{style.INK}}}
.hpclab-projected .jupyter-button {{width:auto; padding:0 12px}}
.hpclab-projected .slider-container {{margin-left:14px}}
.hpclab-projected .progress {{height:14px; margin-top:11px}}
.hpclab-projected :is(.noUi-handle, button, select, input):focus-visible
  {{outline:3px solid {style.COLOUR["queue wait"]}; outline-offset:2px}}
.hpclab-over {{pointer-events:none}}
.hpclab-spoken {{position:absolute; width:1px; height:1px; margin:0; overflow:hidden; clip-path:inset(50%)}}
"""
# Run by the browser when the style sheet arrives, and again for whatever comes into the box after it. The
# region is told to speak itself: a region that comes into the page together with its text is not read.
_NAMES = (
    "const root=this.closest('.hpclab-projected');const name=()=>{"
    "root.querySelectorAll('.widget-slider').forEach(s=>s.querySelectorAll('.noUi-handle').forEach("
    "h=>h.setAttribute('aria-label',s.querySelector('label').textContent)));"
    "root.querySelectorAll('.hpclab-spoken').forEach(s=>{"
    "s.setAttribute('role','status');s.setAttribute('aria-live','polite')});"
    "for(const [icon,said] of [['play','Play or pause'],['pause','Play or pause'],"
    "['stop','Back to the start']])root.querySelectorAll('button > i.fa-'+icon).forEach("
    "i=>i.parentElement.setAttribute('aria-label',said))};"
    "name();new MutationObserver(name).observe(root,{childList:true,subtree:true})"
)


def look(box: widgets.Box) -> widgets.HTML:
    """Give `box` this look; returns the style sheet, which must be the last of the box's children."""
    box.add_class("hpclab-projected")
    return widgets.HTML(f'<style onload="{_NAMES}">{_CSS}</style>', layout={"height": "0", "margin": "0"})
