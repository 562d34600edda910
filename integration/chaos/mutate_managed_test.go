package chaos

import (
	"slices"

	"hydrant/integration/chaos/check"
	"hydrant/integration/chaos/history"
)

// managedMutations break what a program is promised that uses edge/client.
var managedMutations = []mutation{
	{"I1", "what a program's client was told is accepted never came", func(all []history.Event) []history.Event {
		came := make(map[string]bool)
		for _, e := range all {
			came[e.Mid] = came[e.Mid] || e.Kind == history.Receive
		}
		mine := sent(all, history.ByManaged)
		mid := all[find(all, func(e history.Event) bool { return e.Kind == history.Stored && mine[e.Mid] && came[e.Mid] })].Mid
		return slices.DeleteFunc(all, func(e history.Event) bool { return e.Kind == history.Receive && e.Mid == mid })
	}},
	{"I1", "what the store acknowledged was given to no program", func(all []history.Event) []history.Event {
		given := managedReceives(all)
		mid := all[find(all, func(e history.Event) bool { return e.Kind == history.Stored && e.Seq != 0 && len(given[e.Mid]) > 0 })].Mid
		return slices.DeleteFunc(all, func(e history.Event) bool { return e.Kind == history.Receive && e.Mid == mid })
	}},
	{"I2", "a program got two messages the wrong way round", func(all []history.Event) []history.Event {
		managed := managedSessions(all)
		last := make(map[string]int) // session to its last message
		for i, e := range all {
			if e.Kind != history.Receive || e.Seq == 0 || !managed[e.SID] {
				continue
			}
			if j, ok := last[e.SID]; ok && all[j].Seq < e.Seq {
				return slices.Delete(slices.Insert(all, i+1, all[j]), j, j+1)
			}
			last[e.SID] = i
		}
		return nil
	}},
	{"I3", "a connection of edge/client's left something out", func(all []history.Event) []history.Event {
		seen := make(map[int]bool)
		calm := calmSockets(all)
		i := find(all, func(e history.Event) bool {
			again := seen[e.Conn]
			seen[e.Conn] = again || e.Kind == history.Frame
			return again && e.Kind == history.Frame && calm[e.Conn]
		})
		all[i].Prev--
		return all
	}},
	{"I3", "a program was told of a gap though nothing was dropped", func(all []history.Event) []history.Event {
		i := managedReceive(all)
		return slices.Insert(all, i, history.Event{Kind: history.Gap, SID: all[i].SID, From: 1, To: 2, Why: "overflow"})
	}},
	{"I3", "a program was told that the store went back, which it did not", func(all []history.Event) []history.Event {
		i := managedReceive(all)
		return slices.Insert(all, i, history.Event{Kind: history.Gap, SID: all[i].SID, From: 1, To: 2, Why: "rollback"})
	}},
	{"I4", "a connection of edge/client's brought a message twice", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Frame && e.Mid != "" })
		again := all[i]
		again.Prev = again.Seq
		return slices.Insert(all, i+1, again)
	}},
	{"I5", "the connection that edge/client had left got what was sent after", func(all []history.Event) []history.Event {
		calls := make(map[string][]int) // session to its connections
		given := make(map[int]bool)
		fresh := make(map[string]bool)
		for i, e := range all {
			switch e.Kind {
			case history.Open, history.Resuming:
				calls[e.SID] = append(calls[e.SID], e.Conn)
			case history.Resumed:
				given[e.Conn] = e.Class == history.Managed
				clear(fresh)
			case history.Send:
				fresh[e.Mid] = true
			case history.Frame:
				for _, of := range calls {
					if len(of) > 1 && of[len(of)-1] == e.Conn && given[e.Conn] && fresh[e.Mid] {
						e.Conn = of[0]
						return slices.Insert(all, i, e)
					}
				}
			}
		}
		return nil
	}},
	{"I7", "a program's connection to a node that nobody harmed was ended", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Open && e.Calm && e.Class == history.Managed })
		return slices.Insert(all, i+1, history.Event{Kind: history.Close, Conn: all[i].Conn, Code: -1})
	}},
	{"I8", "a program got a message that was another's", func(all []history.Event) []history.Event {
		all[managedReceive(all)].For = "somebody"
		return all
	}},
	{"I8", "a program got the answer to what another one asked", func(all []history.Event) []history.Event {
		all[find(all, func(e history.Event) bool { return e.Kind == history.Answered && e.Mid != "" })].For = "somebody"
		return all
	}},
	{check.Repeated, "a program got a message again", func(all []history.Event) []history.Event {
		i := managedReceive(all)
		return slices.Insert(all, len(all)-1, all[i])
	}},
	{check.Repeated, "a program got an answer again, as a message", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Answered && e.Mid != "" })
		again := all[i]
		again.Kind, again.Rmid = history.Receive, ""
		return slices.Insert(all, i+1, again)
	}},
	{check.Repeated, "edge/client was sent again what it had said that it has", func(all []history.Event) []history.Event {
		managed := managedSessions(all)
		for i, e := range all {
			if e.Kind != history.Resuming || e.Seq == 0 || !managed[e.SID] {
				continue
			}
			j := find(all[:i], func(r history.Event) bool { return r.Kind == history.Receive && r.SID == e.SID && r.Seq == e.Seq })
			if j >= 0 {
				return slices.Insert(all, i+1, history.Event{Kind: history.Frame, Conn: e.Conn, Mid: all[j].Mid, Seq: e.Seq, Prev: e.Seq})
			}
		}
		return nil
	}},
	{check.Told, "what became of a program's message was never told", func(all []history.Event) []history.Event {
		mine := sent(all, history.ByManaged)
		i := find(all, func(e history.Event) bool { return e.Kind == history.Stored && mine[e.Mid] })
		return slices.Delete(all, i, i+1)
	}},
	{check.Told, "a program's message was accepted twice", func(all []history.Event) []history.Event {
		mine := sent(all, history.ByManaged)
		i := find(all, func(e history.Event) bool { return e.Kind == history.Stored && mine[e.Mid] })
		return slices.Insert(all, i, all[i])
	}},
	{check.Told, "a program's request had no outcome", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Answered })
		return slices.Delete(all, i, i+1)
	}},
	{check.Told, "a program's request was answered, and failed", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Answered })
		return slices.Insert(all, i, history.Event{Kind: history.Failed, Mid: all[i].Rmid, Told: "timeout"})
	}},
	{check.Failed, "a program was told that a message was not written, which is stored", func(all []history.Event) []history.Event {
		mine := sent(all, history.ByManaged)
		i := find(all, func(e history.Event) bool { return e.Kind == history.Stored && mine[e.Mid] })
		all[i].Kind, all[i].Told = history.Failed, "unwritten"
		return all
	}},
	{check.Taken, "edge/client's last connection was told that there is another", func(all []history.Event) []history.Event {
		managed := managedSessions(all)
		for i, e := range slices.Backward(all) {
			if e.Kind == history.Resuming && e.Attempt != 0 && managed[e.SID] {
				return slices.Insert(all, i+1, history.Event{Kind: history.Close, Conn: e.Conn, Code: 4501})
			}
		}
		return nil
	}},
	{check.Taken, "it was over for a program, which no other had followed", func(all []history.Event) []history.Event {
		i := managedReceive(all)
		return slices.Insert(all, i, history.Event{Kind: history.Ended, SID: all[i].SID, Code: 4501})
	}},
	{check.Expired, "the session of a program was not given back", func(all []history.Event) []history.Event {
		i := find(all, func(e history.Event) bool { return e.Kind == history.Resumed && e.Class == history.Managed })
		return slices.Insert(all, i, history.Event{Kind: history.Denied, Conn: all[i].Conn, SID: all[i].SID, Why: `{"why":"expired"}`})
	}},
}

// sent are the messages of a source.
func sent(all []history.Event, source string) map[string]bool {
	mids := make(map[string]bool)
	for _, e := range all {
		if e.Kind == history.Send && e.Source == source {
			mids[e.Mid] = true
		}
	}
	return mids
}

func managedSessions(all []history.Event) map[string]bool {
	sessions := make(map[string]bool)
	for _, e := range all {
		if e.Kind == history.Open && e.Class == history.Managed {
			sessions[e.SID] = true
		}
	}
	return sessions
}

// managedReceives are what programs got: the mid of each, and where.
func managedReceives(all []history.Event) map[string][]int {
	managed, where := managedSessions(all), make(map[string][]int)
	for i, e := range all {
		if e.Kind == history.Receive && managed[e.SID] {
			where[e.Mid] = append(where[e.Mid], i)
		}
	}
	return where
}

// managedReceive is the first message that a program got.
func managedReceive(all []history.Event) int {
	managed := managedSessions(all)
	return find(all, func(e history.Event) bool { return e.Kind == history.Receive && managed[e.SID] })
}
