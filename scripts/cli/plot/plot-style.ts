/** The style of a plot: one set of colours for light screens and one for dark, no font that must be fetched. */
export const plotStyle = `
:root{--paper:#fff;--ink:#1c2733;--soft:#566474;--grid:#e1e6ec;--speech:#dfecfb;--edge:#9cc0e8;--wave:#2f67a8;--pitch:#c2410c}
@media(prefers-color-scheme:dark){:root{--paper:#11171e;--ink:#e8edf2;--soft:#9fadbb;--grid:#27323d;--speech:#1a2c42;--edge:#3d638f;--wave:#79aee8;--pitch:#ff9a4d}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.paper{fill:var(--paper)}
.head{fill:var(--ink);font-size:19px;font-weight:600}
.note{fill:var(--soft);font-size:13px}
.grid{stroke:var(--grid)}
.tick{stroke:var(--soft)}
.speech{fill:var(--speech)}
.key{stroke:var(--edge)}
.wave{fill:var(--wave);stroke:var(--wave);stroke-width:.6;stroke-linejoin:round}
.pitch{fill:none;stroke:var(--pitch);stroke-width:2.6;stroke-linecap:round;stroke-linejoin:round}
.fine{stroke-width:1.5}
.dot{fill:var(--pitch)}
`;
