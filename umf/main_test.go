package umf

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tester is the part of a *testing.T, *testing.F or *rapid.T that helpers need.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// mustScan scans a text that the test knows to be valid.
func mustScan(t tester, text string) *Envelope {
	t.Helper()
	var e Envelope
	if err := Scan([]byte(text), &e); err != nil {
		t.Fatalf("Scan(%q): %v", text, err)
	}
	return &e
}
