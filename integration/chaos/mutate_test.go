package chaos

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"hydrant/integration/chaos/check"
	"hydrant/integration/chaos/history"
)

// A mutation breaks a history of a run in one place; the checker has to say that the
// invariant is broken. It returns nil where there is no such place.
type mutation struct {
	invariant, what string
	mutate          func([]history.Event) []history.Event
}

// Where the order on a socket counts, it is a calm client's: over another one a
// message may be late, or come again, and then prove less.
var mutations = []mutation{
	{"I1", "what the store acknowledged never came", func(all []history.Event) []history.Event {
		mid := all[find(all, func(e history.Event) bool { return e.Kind == history.Stored && e.Seq != 0 })].Mid
		return slices.DeleteFunc(all, func(e history.Event) bool { return e.Kind == history.Receive && e.Mid == mid })
	}},
	{"I2", "two messages of one sender came the wrong way round", func(all []history.Event) []history.Event {
		stored := make(map[string]bool)
		for _, e := range all {
			stored[e.Mid] = stored[e.Mid] || e.Kind == history.Stored && e.Seq != 0
		}
		calm := calmSockets(all)
		last := make(map[int]int) // socket to its last message
		for i, e := range all {
			if e.Kind != history.Receive || e.Seq != 0 || !stored[e.Mid] || !calm[e.Conn] {
				continue
			}
			if j, ok := last[e.Conn]; ok {
				return slices.Delete(slices.Insert(all, i+1, all[j]), j, j+1)
			}
			last[e.Conn] = i
		}
		return nil
	}},
	{"I3", "a message does not follow the one before it", func(all []history.Event) []history.Event {
		seen := make(map[int]bool)
		calm := calmSockets(all)
		i := find(all, func(e history.Event) bool {
			again := seen[e.Conn]
			seen[e.Conn] = again || e.Kind == history.Receive
			return again && e.Kind == history.Receive && e.Seq != 0 && calm[e.Conn]
		})
		all[i].Prev++
		return all
	}},
	{"I4", "a message came twice over one socket", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Receive && e.Seq == 0 })
		return slices.Insert(all, i, all[i])
	}},
	{"I5", "the old socket got what was sent after the takeover", func(all []history.Event) []history.Event {
		sockets := make(map[string][]int)
		given := make(map[int]bool)
		sent := make(map[string]bool)
		for i, e := range all {
			switch e.Kind {
			case history.Open, history.Resuming:
				sockets[e.SID] = append(sockets[e.SID], e.Conn)
			case history.Resumed:
				given[e.Conn] = true
				clear(sent)
			case history.Send:
				sent[e.Mid] = true
			case history.Receive:
				of := sockets[e.SID]
				if len(of) > 1 && of[len(of)-1] == e.Conn && given[e.Conn] && sent[e.Mid] {
					e.Conn = of[0]
					return slices.Insert(all, i, e)
				}
			}
		}
		return nil
	}},
	{"I6", "a node took more memory than it may", func(all []history.Event) []history.Event {
		all[find(all, func(e history.Event) bool { return e.Kind == history.Sample })].RSS = 1 << 40
		return all
	}},
	{"I7", "a bystander was thrown out", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Open && e.Calm })
		return slices.Insert(all, i+1, history.Event{Kind: history.Close, Conn: all[i].Conn, Code: 1006})
	}},
	{"I8", "a message was another's", func(all []history.Event) []history.Event {
		all[find(all, func(e history.Event) bool { return e.Kind == history.Receive })].For = "somebody"
		return all
	}},
	{check.Expired, "a session that lives was not given back", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Resumed })
		return slices.Insert(all, i, history.Event{Kind: history.Denied, Conn: all[i].Conn, SID: all[i].SID, Why: `{"why":"expired"}`})
	}},
	{check.Repeated, "a client that confirms got a message again", func(all []history.Event) []history.Event {
		for i, resumed := range all {
			if resumed.Kind != history.Resumed || resumed.Class != history.Acked {
				continue
			}
			if j := find(all[:i], func(e history.Event) bool { return e.Kind == history.Receive && e.SID == resumed.SID }); j >= 0 {
				again := all[j]
				again.Conn = resumed.Conn
				return slices.Insert(all, i+1, again)
			}
		}
		return nil // nobody resumes who had got something
	}},
	{check.Taken, "the only socket was told that there is another", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Open && e.Calm && e.Class == history.Plain })
		return slices.Insert(all, i+1, history.Event{Kind: history.Close, Conn: all[i].Conn, Code: 4501})
	}},
	{check.Failed, "what was stored was told to have failed", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Stored })
		return slices.Insert(all, i, history.Event{Kind: history.Failed, Mid: all[i].Mid, Told: "unavailable"})
	}},
	{check.Slow, "a node was ready long after the servers", func(all []history.Event) []history.Event {
		all[find(all, func(e history.Event) bool { return e.Kind == history.Back })].At += check.Promptly
		return all
	}},
	{check.Bite, "a fault had no effect", func(all []history.Event) []history.Event {
		what := all[find(all, func(e history.Event) bool { return e.Kind == history.Bit })].What
		return slices.DeleteFunc(all, func(e history.Event) bool { return e.Kind == history.Bit && e.What == what })
	}},
	{"L", "something did not drain", func(all []history.Event) []history.Event {
		return slices.DeleteFunc(all, func(e history.Event) bool { return e.Kind == history.Drained })
	}},
}

// calmSockets are those of the clients that nobody harms.
func calmSockets(all []history.Event) map[int]bool {
	calm := make(map[int]bool)
	for _, e := range all {
		if e.Kind == history.Open && e.Calm {
			calm[e.Conn] = true
		}
	}
	return calm
}

func find(all []history.Event, f func(history.Event) bool) int { return slices.IndexFunc(all, f) }

// expectMutationsFound breaks the history of a good run in every way.
func expectMutationsFound(t *testing.T, text []byte) {
	t.Helper()
	for _, m := range slices.Concat(mutations, managedMutations) {
		var all []history.Event
		if err := history.Read(bytes.NewReader(text), func(_ int, e history.Event) error { all = append(all, e); return nil }); err != nil {
			t.Fatal(err)
		}
		var broken bytes.Buffer
		encoder := json.NewEncoder(&broken)
		for _, e := range m.mutate(all) {
			if err := encoder.Encode(e); err != nil {
				t.Fatal(err)
			}
		}
		report, err := check.History(&broken)
		if err != nil {
			t.Errorf("%s: %s: %v", m.invariant, m.what, err)
		} else if report.Count(m.invariant) == 0 {
			t.Errorf("the checker does not see that %s (%s): %v", m.what, m.invariant, report.Violations)
		}
	}
}
