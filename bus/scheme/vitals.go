package scheme

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// Vitals is the health of a process: the data of a participant's endpoints in
// $SRV.STATS, and what the router API has of it in health and list/services. Its members
// are those of Hydra's health. A service in another language fills them, or some.
type Vitals struct {
	SampledOn     string  `json:"sampledOn"` // RFC 3339, UTC, milliseconds
	ProcessID     int     `json:"processID"`
	Architecture  string  `json:"architecture"`
	Platform      string  `json:"platform"`
	NodeVersion   string  `json:"nodeVersion"` // of the language
	Memory        Memory  `json:"memory"`
	UptimeSeconds float64 `json:"uptimeSeconds"`
}

// Memory is what a process has of it, in bytes.
type Memory struct {
	RSS          uint64 `json:"rss"` // 0: the system does not say
	HeapTotal    uint64 `json:"heapTotal"`
	HeapUsed     uint64 `json:"heapUsed"`
	External     uint64 `json:"external"`     // of other languages in the process: 0
	ArrayBuffers uint64 `json:"arrayBuffers"` // of JavaScript: 0
}

// NodeVitals is the health of a node, and what it keeps.
type NodeVitals struct {
	Vitals
	Tails     int   `json:"tails"`     // parked sessions for which it keeps what comes
	TailBytes int64 `json:"tailBytes"` // what that takes
}

// TimeFormat is how times are written in health and lists.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// VitalsOf returns the health of this process at the time now. It may be called from any
// goroutine, and stops none.
func VitalsOf(started, now time.Time) Vitals {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples) // runtime.ReadMemStats would stop the world
	used := value(samples[0])
	return Vitals{
		SampledOn: now.UTC().Format(TimeFormat), ProcessID: os.Getpid(),
		Architecture: runtime.GOARCH, Platform: runtime.GOOS, NodeVersion: runtime.Version(),
		Memory:        Memory{RSS: resident(), HeapTotal: used + value(samples[1]) + value(samples[2]), HeapUsed: used},
		UptimeSeconds: now.Sub(started).Seconds(),
	}
}

func value(s metrics.Sample) uint64 {
	if s.Value.Kind() != metrics.KindUint64 {
		return 0 // a later Go has it no more
	}
	return s.Value.Uint64()
}

// resident reads the second number of statm, pages in memory: proc(5).
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
