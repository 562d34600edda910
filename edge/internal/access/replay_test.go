package access

import (
	"testing"
	"time"
)

// TestReplayIsBounded: at the bound a new key is refused, and an old one still known.
func TestReplayIsBounded(t *testing.T) {
	refused := 0
	r := NewReplay(2, func() { refused++ })
	now := time.Unix(1000, 0)
	if r.Add("a", now, time.Minute) != nil || r.Add("a", now, time.Minute) != ErrReplay || r.Add("b", now, time.Minute) != nil {
		t.Fatal("a repeated key must be refused, a new one taken")
	}
	if r.Add("c", now, time.Minute) != ErrReplayFull || refused != 1 {
		t.Error("taken beyond the bound, or not counted")
	}
	if r.Add("c", now.Add(time.Minute), time.Minute) != nil {
		t.Error("not taken after the others had their time")
	}
}
