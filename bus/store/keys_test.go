package store

import (
	"errors"
	"testing"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestKeys: the keys of an address are kept for other nodes, apart from those of
// others, and are no session.
func TestKeys(t *testing.T) {
	s := newStore(t, Config{})
	d, ctx := s.Directory(), natstest.Context(t)
	const a, b = "https://a.example/keys", "https://b.example/keys"
	if _, err := d.KeptKeys(ctx, a); !errors.Is(err, ErrNoKeys) {
		t.Errorf("before: %v", err)
	}
	for _, text := range []string{`{"set":1}`, `{"set":2}`} {
		if err := d.KeepKeys(ctx, a, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := d.KeptKeys(ctx, a); err != nil || string(got) != text {
			t.Errorf("%s, %v", got, err)
		}
	}
	if _, err := d.KeptKeys(ctx, b); !errors.Is(err, ErrNoKeys) {
		t.Errorf("of another address: %v", err)
	}
	if err := d.List(ctx, func(sid scheme.SID, _ scheme.Entry) bool {
		t.Errorf("a session %s is listed", sid)
		return true
	}); err != nil {
		t.Fatal(err)
	}
}
