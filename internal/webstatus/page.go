package webstatus

// page renders the HTML. What has data-live is put in place anew by live.js.
func page(v view) []byte {
	var m markup
	m.put(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%v – tari-libp2p</title>
<link rel="icon" type="image/svg+xml" href="icon.svg">
<link rel="stylesheet" href="style.css">
<script src="live.js" defer></script>
<noscript><meta http-equiv="refresh" content="10"></noscript>
</head>
<body>
<header id="head" data-live>
<h1>tari-libp2p <span class="state %v">%v</span></h1>
<p class="facts"><span>%v</span> <span>up %v</span> <span>version %v</span> <span>as of <time>%v</time> UTC</span></p>
</header>
<p id="note" class="note" role="status"><noscript>Without JavaScript this page loads itself anew every 10 seconds.</noscript></p>
<main>
`, v.State, v.State, v.State, v.Network, v.Uptime, v.Version, v.At)
	m.tiles(v)
	m.raw(`<div class="pair">` + "\n")
	m.way(v.Way)
	m.raw(`<div class="stack">` + "\n")
	m.rates(v.Rates)
	m.kinds(v.Kinds)
	m.raw("</div>\n</div>\n")
	m.connections(v)
	m.bans(v)
	m.self(v)
	m.raw(`</main>
<footer><p>The same for programs: <a href="status.json">status.json</a></p></footer>
</body>
</html>
`)
	return m.out.Bytes()
}

func (m *markup) tiles(v view) {
	tile := func(title literal, n any, more literal, args ...any) {
		m.put(`<div><dt>%v</dt><dd>%v<small>`, title, n)
		m.put(more, args...)
		m.raw("</small></dd></div>\n")
	}
	m.raw(`<section id="now" class="tiles" aria-label="In short" data-live>` + "\n<dl>\n")
	tile("Connections", v.All, "%v inbound, %v outbound", v.In, v.Out)
	tile("Connected to", v.Links.Nodes, "nodes, and %v wallets", v.Links.Clients)
	tile("Peers in the book", v.Book.Peers, "%v banned, %v being dialed", v.Book.Banned, v.Links.Dialing)
	tile("Messages received", v.Messages.Received, "%v", v.Received)
	tile("Messages sent", v.Messages.Sent, "%v, %v failed, %v waiting", v.Sent, v.Dropped, v.Messages.Queued)
	m.raw("</dl>\n</section>\n")
}

// way draws the stages, and tells the same to those who do not see it.
func (m *markup) way(v wayView) {
	m.put(`<section id="way" aria-labelledby="way-title" data-live>
<h2 id="way-title">The way of a connection</h2>
<p class="hint">How long each stage of recent connections took: half of them no longer than the dark bar, nine of ten no longer than the pale one.</p>
<svg class="way" width="100%%" height="%v" aria-hidden="true" focusable="false">
<svg x="8%%" width="92%%" height="%v" overflow="visible">
`, v.Height, v.Height)
	for _, t := range v.Ticks {
		m.put(`<line class="tick" x1="%v" x2="%v" y1="0" y2="%v" transform="translate(0 -8)"/>`+"\n", t.X, t.X, v.Scale)
		m.put(`<text class="small" x="%v" y="%v" dy="6" text-anchor="middle">%v</text>`+"\n", t.X, v.Scale, t.Text)
	}
	m.raw("</svg>\n")
	for _, s := range v.Stages {
		m.stage(s)
	}
	m.raw(`</svg>
<div class="unseen">
<table>
<caption>Stages of recent connections, in order</caption>
<thead><tr><th scope="col">Stage</th><th scope="col">Median</th><th scope="col">Nine of ten within</th><th scope="col">Passed</th><th scope="col">Failed</th></tr></thead>
<tbody>
`)
	for _, s := range v.Stages {
		m.put(`<tr><th scope="row">%v: %v</th><td>%v</td><td>%v</td><td>%v</td><td>%v</td></tr>`+"\n", s.Title, s.What, s.Median, s.Most, s.Passed, s.Failed)
	}
	m.raw("</tbody>\n</table>\n</div>\n</section>\n")
}

func (m *markup) stage(s stageView) {
	m.put(`<svg y="%v" width="100%%" height="62" overflow="visible">`+"\n", s.Top)
	if s.Top > 0 {
		m.raw(`<line class="link" x1="3%" x2="3%" y1="-38" y2="8"/>` + "\n")
	}
	m.put(`<circle class="%v" cx="3%%" cy="16" r="7"/>
<svg x="8%%" width="92%%" height="62" overflow="visible">
<text class="name" x="0" y="20">%v</text>
`, either(s.Failed > 0, "bad", either(s.Passed > 0, "good", "none")), s.Title)
	if s.Passed > 0 {
		m.put(`<text class="time" x="100%%" y="20" text-anchor="end">%v <tspan class="small">– %v</tspan></text>
<rect class="most" x="0" y="28" height="8" rx="4" width="%v"/>
<rect class="median" x="0" y="28" height="8" rx="4" width="%v"/>
`, s.Median, s.Most, s.P90X, s.MedianX)
	} else {
		m.raw(`<rect class="track" x="0" y="28" height="8" rx="4" width="100%"/>` + "\n")
	}
	m.put(`<text class="small" x="0" y="51">%v</text>`+"\n"+`<text class="small" x="100%%" y="51" text-anchor="end">`, s.What)
	if s.Failed > 0 {
		m.put(`<tspan class="failed">%v failed</tspan>, `, s.Failed)
	}
	m.put("%v passed</text>\n</svg>\n</svg>\n", s.Passed)
}

func (m *markup) rates(v rateView) {
	m.put(`<section id="rates" aria-labelledby="rates-title" data-live>
<h2 id="rates-title">Messages a second</h2>
<p class="legend"><span class="in">in <b>%v</b></span> <span class="out">out <b>%v</b></span> <span>at most %v in %v</span></p>
`, v.InNow, v.OutNow, v.Peak, v.Span)
	m.put(`<svg class="rates" width="100%%" height="90" viewBox="0 0 %v %v" preserveAspectRatio="none" role="img"
aria-label="Messages a second in the last %v: in %v, out %v now, at most %v">
`, v.Width, v.Height, v.Span, v.InNow, v.OutNow, v.Peak)
	m.put(`<line class="tick" x1="0" x2="%v" y1="59" y2="59"/>
<polyline class="in" points="%v"/>
<polyline class="out" points="%v"/>
</svg>
<p class="axis" aria-hidden="true"><span>%v ago</span> <span>now</span></p>
</section>
`, v.Width, v.In, v.Out, v.Span)
}

func (m *markup) kinds(kinds []kind) {
	m.raw(`<section id="classes" aria-labelledby="classes-title" data-live>
<h2 id="classes-title">Addresses</h2>
<table>
<thead><tr><th scope="col">Class</th><th scope="col">Inbound</th><th scope="col">Outbound</th><th scope="col" class="wide">Part of all</th></tr></thead>
<tbody>
`)
	for _, k := range kinds {
		m.put(`<tr><th scope="row">%v</th><td>%v</td><td>%v</td>
<td><svg class="bar" width="100%%" height="8" role="img" aria-label="%v"><rect class="track" width="100%%" height="8" rx="4"/>`, k.Class, k.In, k.Out, k.Bar)
		if k.In+k.Out > 0 {
			m.put(`<rect class="median" width="%v" height="8" rx="4"/>`, k.Bar)
		}
		m.raw("</svg></td></tr>\n")
	}
	m.raw("</tbody>\n</table>\n</section>\n")
}

var connectionColumns = []column{
	{title: "Peer"}, {title: "Direction"}, {title: "Class"}, {"Address", "long code"}, {"Agent", "long"}, {title: "Dialect"}, {"Streams", "number"}, {"Round trip", "number"}, {"Age", "number"},
}

func (m *markup) connections(v view) {
	m.raw(`<section id="connections" aria-labelledby="connections-title" data-live>` + "\n" + `<h2 id="connections-title">Connections</h2>` + "\n")
	var rows [][]any
	for _, c := range v.Rows {
		rows = append(rows, []any{c.Peer, c.Direction, c.AddressClass, c.At, c.Agent, c.Dialect, c.Streams, c.RoundTrip, c.Age})
	}
	if len(rows) == 0 {
		m.raw(`<p class="hint">None.</p>` + "\n")
	} else {
		m.table("connections-title", connectionColumns, rows)
	}
	if v.MoreRows > 0 {
		m.put(`<p class="hint">And %v more: <code>tari-libp2p connections</code> lists all.</p>`+"\n", v.MoreRows)
	}
	m.raw("</section>\n")
}

func (m *markup) bans(v view) {
	m.raw(`<section id="bans" aria-labelledby="bans-title" data-live>` + "\n" + `<h2 id="bans-title">Bans</h2>` + "\n")
	var rows [][]any
	for _, b := range v.BanRows {
		rows = append(rows, []any{b.Peer, b.Until, b.Reason})
	}
	if len(rows) == 0 {
		m.raw(`<p class="hint">Nobody is banned.</p>` + "\n")
	} else {
		m.table("bans-title", []column{{title: "Peer"}, {title: "Still"}, {"Reason", "long"}}, rows)
	}
	if v.MoreBans > 0 {
		m.put(`<p class="hint">And %v more: <code>tari-libp2p peers banned</code> lists all.</p>`+"\n", v.MoreBans)
	}
	m.raw("</section>\n")
}

func (m *markup) self(v view) {
	m.put(`<section id="self" aria-labelledby="self-title" data-live>
<h2 id="self-title">This node</h2>
<p class="code">%v</p>
<ul>
`, v.PublicKey)
	for _, address := range v.Addresses {
		m.put(`<li class="code">%v</li>`+"\n", address)
	}
	if len(v.Addresses) == 0 {
		m.raw("<li>It listens nowhere.</li>\n")
	}
	m.raw("</ul>\n</section>\n")
}
