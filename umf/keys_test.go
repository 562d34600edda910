package umf

import (
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// TestVectors holds messages that the original JavaScript library signed.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Secret  string
		Vectors []struct {
			Name, Wire, Canonical, Signature string
			Valid                            bool
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 50 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	keys := NewKeys("another secret", file.Secret)
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			var e Envelope
			if err := Scan([]byte(v.Wire), &e); err != nil {
				t.Fatal(err)
			}
			err := keys.Verify(&e)
			if valid := err == nil; valid != v.Valid {
				t.Errorf("Verify: %v, want valid %v", err, v.Valid)
			}
			if err != nil && e.Falsy(Signature) != errors.Is(err, ErrUnsigned) {
				t.Errorf("Verify: %v", err)
			}
			if !v.Valid {
				return
			}
			if got := string(e.AppendCanonical(nil)); got != v.Canonical {
				t.Errorf("canonical\n got %s\nwant %s", got, v.Canonical)
			}
			if got := NewKeys(file.Secret).Sign(&e); got != v.Signature {
				t.Errorf("signature %s, want %s", got, v.Signature)
			}
			m, err := Parse([]byte(v.Wire))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Verify(file.Secret); err != nil {
				t.Errorf("Message.Verify: %v", err)
			}
		})
	}
}
