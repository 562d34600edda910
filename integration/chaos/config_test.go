package chaos

import (
	"errors"
	"testing"
)

// TestTails: what nodes are told of what they keep.
func TestTails(t *testing.T) {
	for of, linger := range map[Tails]string{AllTails: "", ShortTails: "1s", NoTails: "0s"} {
		if env, err := of.env(); err != nil || env["EDGE_LINGER"] != linger {
			t.Errorf("%q: %v, %v", of, env, err)
		}
	}
	if _, err := Tails("long").env(); !errors.Is(err, ErrTails) {
		t.Errorf("of another word: %v", err)
	}
}
