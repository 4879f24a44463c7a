package webstatus

import (
	"fmt"
	"strings"
	"time"
)

// steps is how many rates are kept: five minutes of them at the usual Interval.
const steps = 150

// reading is the counters at one time.
type reading struct {
	at             time.Time
	received, sent uint64
}

// history is the last readings, the oldest first.
type history []reading

func (h *history) add(r reading) {
	*h = append(*h, r)
	if over := len(*h) - (steps + 1); over > 0 {
		*h = append((*h)[:0], (*h)[over:]...)
	}
}

// Rates are messages a second, the oldest first, one for each StepSec seconds.
type Rates struct {
	StepSec  float64   `json:"step_seconds"`
	Received []float64 `json:"received"`
	Sent     []float64 `json:"sent"`
}

func (h *history) rates(step time.Duration) Rates {
	r := Rates{StepSec: step.Seconds(), Received: []float64{}, Sent: []float64{}}
	for i := 1; i < len(*h); i++ {
		a, b := (*h)[i-1], (*h)[i]
		r.Received = append(r.Received, perSecond(a.received, b.received, b.at.Sub(a.at)))
		r.Sent = append(r.Sent, perSecond(a.sent, b.sent, b.at.Sub(a.at)))
	}
	return r
}

func perSecond(before, after uint64, took time.Duration) float64 {
	if after < before || took <= 0 {
		return 0
	}
	return float64(after-before) / took.Seconds()
}

// Size of the picture of the rates, in its own units; it is stretched to the page's width.
const (
	lineWidth  = 300
	lineHeight = 60
)

// points draws rates from right to left, the newest at the right edge: the points of an SVG polyline.
func points(rates []float64, peak float64) string {
	var out strings.Builder
	for i, rate := range rates {
		x := lineWidth - float64(len(rates)-1-i)*lineWidth/(steps-1)
		y := lineHeight - 1.0
		if peak > 0 {
			y -= rate / peak * (lineHeight - 4)
		}
		fmt.Fprintf(&out, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSuffix(out.String(), " ")
}
