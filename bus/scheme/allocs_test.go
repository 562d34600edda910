package scheme

import "testing"

// TestAllocs: what runs for every message allocates no more than its result.
func TestAllocs(t *testing.T) {
	sid, node := NewSID(), NewNodeID()
	reply, err := ReplySubject(node, sid, `"m-1"`)
	if err != nil {
		t.Fatal(err)
	}
	live := StoredSubject(sid)
	for _, c := range []struct {
		name string
		max  float64
		f    func()
	}{
		{"ParseReplySubject", 1, func() { _, _, _, _ = ParseReplySubject(reply) }}, // the mid with its quotes
		{"ParseLiveSubject", 0, func() { _, _, _ = ParseLiveSubject(live) }},
		{"IsRequestReply", 0, func() { IsRequestReply(live) }},
		{"StreamIndexOf", 0, func() { _ = StreamIndexOf(sid, 16) }},
		{"MailboxSubject", 1, func() { _ = MailboxSubject(sid) }},
		{"ReplySubject", 2, func() { _, _ = ReplySubject(node, sid, `"m-1"`) }},
	} {
		if got := testing.AllocsPerRun(100, c.f); got > c.max {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.max)
		}
	}
}
