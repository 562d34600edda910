package umf

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
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

func TestVerify(t *testing.T) {
	old, current := NewKeys("old"), NewKeys("current")
	both := NewKeys("current", "old")
	const wire = `{"to":"a:/","frm":"b:/","mid":"m","ts":"t","bdy":{"b":1,"1":2}}`
	sign := func(k *Keys, text string) *Envelope {
		e := mustScan(t, text)
		return mustScan(t, string(e.AppendShort(nil, Set{Signature, AppendString(nil, k.Sign(e))})))
	}
	withSignature := func(raw string) *Envelope {
		return mustScan(t, string(mustScan(t, wire).AppendShort(nil, Set{Signature, []byte(raw)})))
	}
	right := old.Sign(mustScan(t, wire))
	escaped := `"\u00` + hex.EncodeToString([]byte(right[:1])) + right[1:] + `"`
	big := `{"to":"a:/","frm":"b:/","mid":"m","ts":"t","bdy":{"x":"` + strings.Repeat("x", 2*maxRewritten) + `","1":1},"hdr":"` + strings.Repeat("y", 5000) + `"}`
	tests := map[string]struct {
		keys *Keys
		e    *Envelope
		want error
	}{
		"the key":                  {old, sign(old, wire), nil},
		"the old key":              {both, sign(old, wire), nil},
		"the new key":              {both, sign(current, wire), nil},
		"signed again":             {old, sign(old, string(sign(current, wire).text)), nil},
		"big values":               {both, sign(old, big), nil},
		"another key":              {current, sign(old, wire), ErrBadSignature},
		"no keys":                  {NewKeys(), sign(old, wire), ErrBadSignature},
		"empty secrets":            {NewKeys("", ""), sign(old, wire), ErrBadSignature},
		"unsigned":                 {old, mustScan(t, wire), ErrUnsigned},
		"null":                     {old, withSignature(`null`), ErrUnsigned},
		"zero":                     {old, withSignature(`0`), ErrUnsigned},
		"empty":                    {old, withSignature(`""`), ErrUnsigned},
		"a number":                 {old, withSignature(`7`), ErrBadSignature},
		"an object":                {old, withSignature(`{}`), ErrBadSignature},
		"an array of the right":    {old, withSignature(`["` + right + `"]`), ErrBadSignature},
		"cut":                      {old, withSignature(`"` + right[:63] + `"`), ErrBadSignature},
		"longer":                   {old, withSignature(`"` + right + `0"`), ErrBadSignature},
		"very long":                {old, withSignature(`"` + strings.Repeat(`\u0061`, 1000) + `"`), ErrBadSignature},
		"with space":               {old, withSignature(`" ` + right + `"`), ErrBadSignature},
		"in upper case":            {old, withSignature(`"` + strings.ToUpper(right) + `"`), ErrBadSignature},
		"with an escape":           {old, withSignature(escaped), nil},
		"no mid":                   {old, sign(old, `{"to":"a:/","frm":"b:/","ts":"t","bdy":1}`), ErrBadSignature},
		"falsy mid":                {old, sign(old, `{"mid":0,"to":"a:/","frm":"b:/","ts":"t","bdy":1}`), ErrBadSignature},
		"no timestamp":             {old, sign(old, `{"to":"a:/","frm":"b:/","mid":"m","bdy":1}`), ErrBadSignature},
		"falsy timestamp":          {old, sign(old, `{"ts":"","to":"a:/","frm":"b:/","mid":"m","bdy":1}`), ErrBadSignature},
		"body changed":             {old, mustScan(t, strings.Replace(string(sign(old, wire).text), `"b":1`, `"b":3`, 1)), ErrBadSignature},
		"signed field added":       {old, mustScan(t, strings.Replace(string(sign(old, wire).text), `{"to"`, `{"typ":"x","to"`, 1)), ErrBadSignature},
		"falsy field added":        {old, mustScan(t, strings.Replace(string(sign(old, wire).text), `{"to"`, `{"typ":"","to"`, 1)), nil},
		"long field over a signed": {old, mustScan(t, strings.Replace(string(sign(old, wire).text), `{"to"`, `{"from":"x:/","to"`, 1)), ErrBadSignature},
		"body twice":               {old, mustScan(t, strings.Replace(string(sign(old, wire).text), `"sig"`, `"bdy":{},"sig"`, 1)), ErrBadSignature},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a hasher that has been used must do as well
				if err := test.keys.Verify(test.e); err != test.want {
					t.Errorf("got %v, want %v", err, test.want)
				}
			}
		})
	}
	if got := NewKeys().Sign(mustScan(t, wire)); got != "" {
		t.Errorf("signed without a key: %s", got)
	}
}

// TestKeysConcurrently lets many goroutines share keys.
func TestKeysConcurrently(t *testing.T) {
	keys := NewKeys("new", "old")
	texts := make([][]byte, 8)
	for i := range texts {
		e := mustScan(t, fmt.Sprintf(`{"to":"a:/","frm":"b:/","mid":"%d","ts":"t","bdy":{"v":%d.0}}`, i, i))
		texts[i] = e.AppendShort(nil, Set{Signature, AppendString(nil, NewKeys("old").Sign(e))})
	}
	var wait sync.WaitGroup
	for g := range texts {
		wait.Go(func() {
			var e Envelope
			for i := range 200 {
				if err := Scan(texts[(g+i)%len(texts)], &e); err != nil {
					t.Error(err)
				}
				if err := keys.Verify(&e); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// TestKeysStaySecret prints keys in every way that a log might.
func TestKeysStaySecret(t *testing.T) {
	keys := NewKeys("secret-1", "secret-2")
	var log strings.Builder
	fmt.Fprintf(&log, "%v %+v %#v %s %q %d %x", keys, keys, keys, keys, keys, keys, keys)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "keys", keys)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "keys", keys)
	for _, leak := range []string{"secret", "115 101 99", "736563"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("%q in %s", leak, &log)
		}
	}
}
