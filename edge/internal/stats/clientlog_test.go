package stats

import (
	"net/netip"
	"testing"
)

func TestClientLogIsBounded(t *testing.T) {
	gone := 0
	l := NewClientLog(func() { gone++ })
	for range clientLogEntries + 3 {
		l.Add("sid", netip.MustParseAddr("192.0.2.1"), []byte(`{"n":1}`))
	}
	l.Add("last", netip.MustParseAddr("192.0.2.1"), make([]byte, clientLogBytes+1))
	entries := l.List()
	if len(entries) != clientLogEntries || gone != 4 || entries[len(entries)-1].ClientID != "last" {
		t.Errorf("%d entries, %d gone, last %+v", len(entries), gone, entries[len(entries)-1])
	}
	if string(entries[len(entries)-1].Body) != `"(too long)"` {
		t.Errorf("kept a long body")
	}
	l.Clear()
	if len(l.List()) != 0 {
		t.Error("not cleared")
	}
}
