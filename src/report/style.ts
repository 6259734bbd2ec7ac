/** Of the page: two schemes of colours, each with a contrast of at least 4.5 to 1 for text. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fdfcf9; --card: #f1efe8; --text: #1d1c1a; --soft: #5c5952; --line: #d6d2c6; --mark: #1458b8; --warn: #fbeecb; }
@media (prefers-color-scheme: dark) { :root { --ground: #16171a; --card: #212328; --text: #ecebe7; --soft: #a9a69d; --line: #3a3d44; --mark: #7db1ff; --warn: #4a3a10; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 2.1rem; line-height: 1.15; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .4rem; font-size: 1.4rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; overflow-wrap: anywhere; }
h3 { margin: 1.4rem 0 .5rem; font-size: 1.05rem; text-transform: capitalize; }
p { margin: .5rem 0 1rem; max-width: 48rem; color: var(--soft); }
.kind { margin: 0; font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; }
.warning { background: var(--warn); border-radius: .5rem; padding: .2rem 1rem; margin-top: 1rem; }
.warning p, .warning li { color: var(--text); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .75rem; list-style: none; margin: 1rem 0; padding: 0; }
.tiles li { display: flex; flex-direction: column; background: var(--card); border-radius: .5rem; padding: .8rem 1rem; }
.tiles strong { font-size: 1.9rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.label { font-weight: 600; font-size: .92rem; }
.detail { color: var(--soft); font-size: .8rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: .5rem; margin: .15rem 0 .35rem; }
.scale { stroke: var(--line); stroke-width: 2; }
.interval { fill: var(--mark); }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; padding: .3rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; white-space: pre-wrap; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border-radius: .5rem; padding: .6rem; }
img { display: block; width: 100%; height: auto; border-radius: .25rem; image-rendering: pixelated; }
figcaption { padding-top: .4rem; font-size: .82rem; color: var(--soft); display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere; }
figcaption strong { color: var(--text); }
@media print { body { max-width: none; } }
`;
