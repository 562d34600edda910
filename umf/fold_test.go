package umf

import "testing"

// Whatever some reader that ignores case takes for a field's key is seen.
func TestLookalike(t *testing.T) {
	for key, want := range map[string]bool{
		`BDY`: true, `Bdy`: true, `TO`: true, `Frm`: true, `VIA`: true, `Authorization`: true, `AUT`: true, `Ttl`: true,
		`tſ`: true, `verſion`: true, `headerſ`: true, // Go folds the long s
		`vıa`: true, `mİd`: true, // Java folds these
		`\u0042dy`: true, `b\u0044y`: true, `t\u017f`: true, `t\u004F`: true,
		`FORWARD`: true, `fOr`: true,

		`bdy`: false, `body`: false, `\u0062dy`: false, `rmi`: false, `RMI`: false, `x`: false, ``: false,
		`BDY `: false, `bdyy`: false, `bdÿ`: false, `to\ud800`: false, `authorizations`: false,
	} {
		var e Envelope
		if err := Scan([]byte(`{"to":"a:/","frm":"b:/","bdy":1,"`+key+`":2}`), &e); err != nil {
			t.Fatal(err)
		}
		if e.Lookalike() != want {
			t.Errorf("%s: %t", key, e.Lookalike())
		}
		if err := Scan([]byte(`{"to":"a:/"}`), &e); err != nil || e.Lookalike() {
			t.Errorf("%s is remembered, or %v", key, err)
		}
	}
	many := `{`
	for range 3 * maxUnknown {
		many += `"y":1,`
	}
	var e Envelope
	if err := Scan([]byte(many+`"BDY":1}`), &e); err != nil || !e.Lookalike() {
		t.Errorf("behind many unknown keys: not seen, %v", err)
	}
}

func TestEqualFold(t *testing.T) {
	for inner, want := range map[string]bool{
		`x-seq`: true, `X-SEQ`: true, `x-ſeq`: true, `\u0078-seq`: true, `X\u002dSeq`: true,
		`x-se`: false, `x-seqq`: false, `x_seq`: false, `y-seq`: false, ``: false,
	} {
		if got := EqualFold([]byte(inner), "x-seq"); got != want {
			t.Errorf("%s: %t", inner, got)
		}
	}
	key := []byte(`X-Sequence`)
	if n := testing.AllocsPerRun(100, func() { EqualFold(key, "x-seq") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What no signature covers is gone, in every form of the message, and what one
// covers has stayed.
func TestKeepCovered(t *testing.T) {
	for text, want := range map[string]string{
		`{"to":"a:/","frm":"b:/","bdy":1}`:                                                          `{"to":"a:/","frm":"b:/","bdy":1}`,
		`{"to":"a:/","frm":"b:/","bdy":1,"sig":"00"}`:                                               `{"to":"a:/","frm":"b:/","bdy":1}`,
		`{"to":"a:/","frm":"b:/","signature":"00","bdy":1,"pri":1,"ttl":9,"for":"x:/"}`:             `{"to":"a:/","frm":"b:/","bdy":1}`,
		`{"to":"a:/","frm":"b:/","bdy":1,"priority":1,"rmi":7,"to":"c:/"}`:                          `{"to":"c:/","frm":"b:/","bdy":1}`,
		`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"to":"a:/","frm":"b:/","bdy":[1 ]}`: `{"to":"a:/","frm":"b:/","bdy":[1 ]}`,
	} {
		var e Envelope
		if err := Scan([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		e.KeepCovered()
		if got := string(e.AppendShort(nil)); got != want {
			t.Errorf("%s: %s", text, got)
		}
		if e.Has(TTL) || e.Has(Signature) {
			t.Errorf("%s: still has them", text)
		}
	}
}
