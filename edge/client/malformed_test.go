package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// odd is what JSON may have in the place of what should be there.
var odd = []string{`null`, `true`, `0`, `7`, `-1`, `1e308`, `1.5`, `""`, `"x"`, `"12"`, `"-3"`, `[]`, `[[]]`, `{}`, `{"toString":1}`,
	`{"typ":"gap"}`, `["resume",{"a":null}]`, `"evil:/"`, `"\u0000\ud800"`, `"18446744073709551615"`, `18446744073709551616`}

// liar is a node that says what it should not.
type liar struct{ *rand.Rand }

func (r liar) of(all ...string) string { return all[r.IntN(len(all))] }

// frame is a message of the right shape, with something wrong in it.
func (r liar) frame(mid string) string {
	body := map[string]json.RawMessage{}
	bodies := []string{
		`{"id":"S1","token":"T1","caps":["ack","accepted"],"hb":25,"now":1,"exp":2,"user":"ann","resumed":true,"why":null,"authResponse":{"identity":"ann"}}`,
		`{"error":"no","code":"overload","retry":5}`, `{"from":"1","to":"2","why":"overflow","lost":1}`, `{"n":1}`, `{}`}
	_ = json.Unmarshal([]byte(r.of(bodies...)), &body)
	r.spoil(body)
	raw, _ := json.Marshal(body)
	m := map[string]json.RawMessage{"to": json.RawMessage(`"S1@client:/"`), "mid": json.RawMessage(fmt.Sprintf(`"m%d"`, r.IntN(9))), "bdy": raw,
		"frm": json.RawMessage(r.of(`"`+router+`"`, `"`+router+`"`, `"evil:/"`, `"R2@hydra-router:/"`, `null`)),
		"typ": json.RawMessage(r.of(`"connection"`, `"accepted"`, `"error"`, `"gap"`, `"pong"`, `"x"`, `null`)),
		"hdr": json.RawMessage(r.of(`{}`, `{"x-seq":"1"}`, `{"x-seq":1}`, `{"x-seq":{}}`)), "rmid": json.RawMessage(`"` + mid + `"`)}
	r.spoil(m)
	text, _ := json.Marshal(m)
	switch r.IntN(20) {
	case 0:
		return string(text[:r.IntN(len(text))])
	case 1:
		return r.of(odd...)
	}
	return string(text)
}

func (r liar) spoil(m map[string]json.RawMessage) {
	for n := r.IntN(3); n > 0; n-- {
		for key := range m {
			if r.IntN(len(m)) == 0 {
				m[key] = json.RawMessage(r.of(odd...))
			}
		}
	}
}

// Whatever a node says, or somebody behind it: the client does not fall over, each message
// has one outcome, and what is right afterwards is understood.
func TestMalformed(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) { lie(t, liar{rand.New(rand.NewPCG(seed, 1))}) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func lie(t *testing.T, r liar) {
	n := newNode(t)
	o := n.options()
	o.Token = func(context.Context, Why) (string, error) { return "t", nil }
	d := n.dial(o)
	defer d.close()
	n.last().welcome(t, nil)
	c := d.client(true)
	var all []*outcome
	for i := range 60 {
		mid := fmt.Sprint("s", i)
		all = append(all, send(c, Message{To: "S2@client:/", Mid: mid}))
		n.last().say(t, r.frame(mid))
		if r.IntN(8) == 0 {
			n.last().end(1006, "")
		}
		time.Sleep(time.Duration(r.IntN(3)) * time.Second)
		c.mu.Lock()
		greets := c.state == connecting && c.line != nil
		c.mu.Unlock()
		if greets && r.IntN(2) == 0 {
			n.last().welcome(t, object{"id": c.Session().ID, "resumed": true, "token": nil})
		}
	}
	n.last().end(1006, "")
	n.again(object{"id": c.Session().ID, "resumed": true, "token": nil})
	said := send(c, Message{To: "S2@client:/", Mid: "last"})
	n.last().say(t, object{"frm": router, "typ": "accepted", "rmid": "last", "bdy": object{}})
	n.last().say(t, message(1000, object{"mid": "m1000", "bdy": "understood"}))
	expect(t, "the last one", said.is(), "accepted")
	if all := n.bodies(); len(all) < 12 || all[len(all)-12:] != `"understood"` {
		t.Errorf("got %.300s", all)
	}
	c.Close()
	synctest.Wait()
	for i, o := range all {
		if len(o.told) != 1 {
			t.Errorf("message %d has the outcomes %q", i, o.told)
		}
	}
}
