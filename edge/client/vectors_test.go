package client

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hydrant/umf"
)

type vector struct {
	About   string
	Options struct{ Token []string }
	Steps   []map[string]json.RawMessage
}

// The transcripts that every client plays.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []vector
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range all {
			t.Run(filepath.Base(file)+"/"+v.About, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newPlayer(t, v).play() })
			})
		}
	}
}

// player plays one transcript.
type player struct {
	t  *testing.T
	v  vector
	n  *fakeNode
	d  *dialling
	is map[string]*outcome

	mids            map[string]string
	got, gaps, errs int // that were looked at
	opens           int
	received        bool
}

func newPlayer(t *testing.T, v vector) *player {
	p := &player{t: t, v: v, n: newNode(t), is: make(map[string]*outcome), mids: make(map[string]string)}
	o := p.n.options()
	if tokens := v.Options.Token; tokens != nil {
		o.Token = func(context.Context, Why) (string, error) {
			token := tokens[0]
			tokens = tokens[1:]
			return token, nil
		}
	}
	// The transcripts' clock is not the bubble's.
	time.Sleep(time.Until(time.UnixMilli(1768248989157)))
	p.d = p.n.dial(o)
	return p
}

func (p *player) play() {
	defer p.d.close()
	for i, step := range p.v.Steps {
		if !p.step(step) || p.t.Failed() {
			text, _ := json.Marshal(step)
			p.t.Fatalf("step %d: %.300s", i, text)
		}
		synctest.Wait()
	}
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.got != len(p.n.got) || p.errs != len(p.n.errors) {
		p.t.Errorf("more was told: %d messages of %d, errors %v", p.got, len(p.n.got), p.n.errors[p.errs:])
	}
}

// client is there once it has a session.
func (p *player) client() *Client {
	if !p.received {
		p.received = true
		return p.d.client(true)
	}
	return p.d.c
}

// step does one, and reports whether it is one.
func (p *player) step(step map[string]json.RawMessage) bool {
	text := func(key string) (s string) {
		_ = json.Unmarshal(step[key], &s)
		return s
	}
	var within float64
	_ = json.Unmarshal(step["within"], &within)
	wait := time.Duration(within) * time.Millisecond
	switch {
	case step["opens"] != nil:
		p.open(step["opens"])
	case step["server"] != nil:
		p.n.last().say(p.t, string(p.named(step["server"])))
		if p.opens > 0 && !p.received && strings.Contains(string(step["server"]), `"typ": "connection"`) {
			p.client()
		}
	case step["closes"] != nil:
		var code int
		_ = json.Unmarshal(step["closes"], &code)
		p.n.last().end(code, text("reason"))
	case step["do"] != nil:
		p.do(step, text)
	case step["client"] != nil:
		p.sent(step, text("as"), wait)
	case step["confirms"] != nil:
		p.confirms(text("confirms"))
	case step["outcome"] != nil:
		if is := p.is[text("outcome")].is(); is != text("is") && !same([]byte(is), step["is"]) {
			p.t.Errorf("outcome %q", is)
		}
	case step["state"] != nil:
		p.until(wait, func() bool { return p.state() == text("state") })
		if is := p.state(); is != text("state") {
			p.t.Errorf("state %q", is)
		}
	case step["session"] != nil:
		if is := p.client().Session().ID; is != text("session") {
			p.t.Errorf("session %q", is)
		}
	case step["wait"] != nil:
		var ms int
		_ = json.Unmarshal(step["wait"], &ms)
		time.Sleep(time.Duration(ms) * time.Millisecond)
	default:
		return p.told(step)
	}
	return true
}

// told looks at what the program was given.
func (p *player) told(step map[string]json.RawMessage) bool {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	switch {
	case step["gets"] != nil:
		if p.got++; p.got > len(p.n.got) || !same(p.n.got[p.got-1].Body, step["gets"]) {
			p.t.Errorf("got %v", p.n.got)
		}
	case step["gap"] != nil:
		if p.gaps++; p.gaps > len(p.n.gaps) {
			p.t.Error("no gap")
		} else if gap, _ := json.Marshal(p.n.gaps[p.gaps-1]); !same(gap, step["gap"]) {
			p.t.Errorf("gap %s", gap)
		}
	case step["error"] != nil:
		if p.errs++; p.errs > len(p.n.errors) || `"`+p.n.errors[p.errs-1]+`"` != string(step["error"]) {
			p.t.Errorf("errors %v", p.n.errors)
		}
	default:
		return false
	}
	return true
}

func (p *player) open(offer json.RawMessage) {
	p.opens++
	p.until(30001*time.Millisecond, func() bool { return p.n.count() >= p.opens })
	if n := p.n.count(); n != p.opens {
		p.t.Fatalf("%d connections", n)
	}
	if is, _ := json.Marshal(p.n.last().offer); !same(is, offer) {
		p.t.Errorf("offers %s", is)
	}
}

func (p *player) do(step map[string]json.RawMessage, text func(string) string) {
	var timeout float64
	_ = json.Unmarshal(step["timeout"], &timeout)
	m := Message{To: text("to"), Body: step["body"], Queue: string(step["queue"]) == "true"}
	switch text("do") {
	case "send":
		p.is[text("as")] = send(p.client(), m)
	case "request":
		ctx := p.t.Context()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Millisecond)
			p.t.Cleanup(cancel)
		}
		p.is[text("as")] = request(ctx, p.client(), m)
	default:
		p.t.Errorf("does what?")
	}
}

// sent looks at what the client sent next.
func (p *player) sent(step map[string]json.RawMessage, as string, within time.Duration) {
	conn := p.n.last()
	next := func() *umf.Message {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		if conn.looked < len(conn.sent) {
			return conn.sent[conn.looked]
		}
		return nil
	}
	p.until(within, func() bool { return next() != nil })
	m := next()
	if m == nil {
		p.t.Fatal("nothing more was sent")
	}
	conn.looked++
	long, err := m.LongJSON()
	if err != nil {
		p.t.Fatal(err)
	}
	var is, should map[string]json.RawMessage
	if json.Unmarshal(long, &is) != nil || json.Unmarshal(p.named(step["client"]), &should) != nil {
		p.t.Fatal("no objects")
	}
	for key, value := range should {
		if !same(is[key], value) {
			p.t.Errorf("%s is %s", key, is[key])
		}
	}
	if as != "" {
		p.mids[as] = m.Mid
	}
}

func (p *player) confirms(seq string) {
	conn := p.n.last()
	last := func() string {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		if len(conn.acks) == 0 {
			return ""
		}
		return conn.acks[len(conn.acks)-1]
	}
	p.until(time.Second, func() bool { return last() == seq })
	if last() != seq {
		p.t.Errorf("confirmed %q", last())
	}
}

// state is that of the client, of which there is none where it did not come to be.
func (p *player) state() string {
	select {
	case <-p.d.done:
	default:
		return "connecting"
	}
	if p.d.err != nil {
		return "closed"
	}
	p.d.c.mu.Lock()
	defer p.d.c.mu.Unlock()
	return [...]string{"connecting", "open", "waiting", "closed"}[p.d.c.state]
}

// until lets time pass until there is something, at most so long.
func (p *player) until(within time.Duration, look func() bool) {
	synctest.Wait()
	for passed := time.Duration(0); !look() && passed < within; passed += 100 * time.Millisecond {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
}

// named puts mids in the place of their names.
func (p *player) named(raw json.RawMessage) json.RawMessage {
	text := string(raw)
	for name, mid := range p.mids {
		text = strings.ReplaceAll(text, `"$`+name+`"`, `"`+mid+`"`)
	}
	return json.RawMessage(text)
}

// same reports whether two texts are the same JSON.
func same(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
