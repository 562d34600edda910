package stats

import (
	"fmt"
	"strings"
	"testing"

	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/session"
	"hydrant/edge/internal/wire"
)

// series gathers counters and gauges by name and labels, name{label="value"}.
func series(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			text := f.GetName()
			for _, l := range metric.GetLabel() {
				text += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			all[text] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return all
}

// Every metric has a base unit, says what it is, and is there from the start,
// before there is a connection to NATS.
func TestMetricsAreThereFromTheStart(t *testing.T) {
	m := New()
	m.Registry.MustRegister(NewCollector(func() Sample { return Sample{} }))
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, f := range families {
		name := f.GetName()
		found[name] = len(f.GetMetric())
		if !strings.HasPrefix(name, "hydrant_") {
			continue
		}
		if f.GetHelp() == "" || f.GetType().String() == "COUNTER" != strings.HasSuffix(name, "_total") {
			t.Errorf("%s: %s, %q", name, f.GetType(), f.GetHelp())
		}
	}
	for name, series := range map[string]int{
		"hydrant_messages_received_total": int(numReceived), "hydrant_sent_bytes_total": int(numSent),
		"hydrant_closes_total": wire.NumDrops, "hydrant_loop_lag_seconds": 1, "hydrant_connections": 1,
		"hydrant_close_frames_total": protocol.NumCloses, "hydrant_nats_errors_total": int(numOps),
		"hydrant_client_errors_total": protocol.NumCodes, "hydrant_dropped_total": int(numDrops),
		"hydrant_gaps_total": 3, "hydrant_session_events_total": int(numLifecycles), "hydrant_shed_total": int(numSheds),
	} {
		if found[name] != series {
			t.Errorf("%s has %d series, want %d", name, found[name], series)
		}
	}
}

// Every value of a label has a word of its own that is fit for one.
func TestWords(t *testing.T) {
	for name, test := range map[string]struct {
		n    uint8
		word func(uint8) string
	}{
		"Lifecycle": {uint8(numLifecycles), func(i uint8) string { return Lifecycle(i).String() }},
		"Drop":      {uint8(numDrops), func(i uint8) string { return Drop(i).String() }},
		"Request":   {uint8(numRequests), func(i uint8) string { return Request(i).String() }},
		"Write":     {uint8(numWrites), func(i uint8) string { return Write(i).String() }},
		"Read":      {uint8(numReads), func(i uint8) string { return Read(i).String() }},
		"Op":        {uint8(numOps), func(i uint8) string { return Op(i).String() }},
		"NATSEvent": {uint8(numNATSEvents), func(i uint8) string { return NATSEvent(i).String() }},
		"Shed":      {uint8(numSheds), func(i uint8) string { return Shed(i).String() }},
		"Received":  {uint8(numReceived), func(i uint8) string { return Received(i).String() }},
		"Sent":      {uint8(numSent), func(i uint8) string { return Sent(i).String() }},
	} {
		seen := make(map[string]bool)
		for i := range test.n + 1 { // one beyond the last has a text as well
			word := test.word(i)
			if word == "" || seen[word] || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") != "" {
				t.Errorf("%s %d is %q", name, i, word)
			}
			seen[word] = true
		}
	}
}

func TestCounters(t *testing.T) {
	m := New()
	m.Dropped.Inc(DropGuesses)
	m.Dropped.Counting(DropGuesses)()
	m.Errors.Inc(protocol.CodeTimeout)
	m.Resumes.Inc(protocol.Resumed)
	m.Gaps.Inc(session.Rollback)
	all := series(t, m)
	for name, want := range map[string]float64{
		`hydrant_dropped_total{reason="guesses"}`:      2,
		`hydrant_dropped_total{reason="slow"}`:         0,
		`hydrant_client_errors_total{code="timeout"}`:  1,
		`hydrant_resumes_total{result="ok"}`:           1,
		`hydrant_gaps_total{why="rollback"}`:           1,
		`hydrant_close_frames_total{code="4501"}`:      0,
		`hydrant_directory_writes_total{result="ok"}`:  0,
		`hydrant_nats_events_total{event="leader"}`:    0,
		`hydrant_requests_total{result="answered"}`:    0,
		`hydrant_shed_total{what="closed"}`:            0,
		`hydrant_mailbox_reads_total{result="error"}`:  0,
		`hydrant_session_events_total{what="doubted"}`: 0,
	} {
		if got, ok := all[name]; !ok || got != want {
			t.Errorf("%s is %v, %v, want %v", name, got, ok, want)
		}
	}
	sums, err := m.Sums()
	if err != nil || sums["hydrant_dropped_total"] != 2 {
		t.Errorf("dropped in all: %v, %v", sums["hydrant_dropped_total"], err)
	}
}

// A state and a change of state are there once they have occurred.
func TestSessions(t *testing.T) {
	m := New()
	for range 2 {
		m.Sessions.Move(session.Idle, session.Attaching)
	}
	m.Sessions.Move(session.Attaching, session.Behind)
	m.Sessions.Move(session.Behind, session.Live)
	m.Sessions.End(session.Attaching)
	got := series(t, m)
	for name := range got {
		if !strings.HasPrefix(name, "hydrant_session_transitions") && !strings.HasPrefix(name, "hydrant_sessions") {
			delete(got, name)
		}
	}
	for name, want := range map[string]float64{
		`hydrant_sessions{state="attaching"}`:                              0,
		`hydrant_sessions{state="behind"}`:                                 0,
		`hydrant_sessions{state="live"}`:                                   1,
		`hydrant_session_transitions_total{from="idle"}{to="attaching"}`:   2,
		`hydrant_session_transitions_total{from="attaching"}{to="behind"}`: 1,
		`hydrant_session_transitions_total{from="behind"}{to="live"}`:      1,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v, %v, want %v", name, value, ok, want)
		}
		delete(got, name)
	}
	if len(got) != 0 {
		t.Errorf("beside them: %v", got)
	}
}
