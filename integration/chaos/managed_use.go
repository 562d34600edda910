package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"

	kit "hydrant/edge/client"
	"hydrant/integration/chaos/history"
	"hydrant/umf"
)

// took writes down what the program is given.
func (p *program) took(d *kit.Delivery) {
	e := p.event(history.Receive, d.Message)
	switch {
	case d.Gap != nil:
		e.Kind, e.From, e.To, e.Why = history.Gap, d.Gap.From, d.Gap.To, d.Gap.Why
		p.c.run.h.Add(e)
	case e.For != "":
		p.c.run.h.Add(e)
		p.c.run.seen.add(e.Mid)
	}
	p.mu.Lock()
	p.held = append(p.held, d)
	many := len(p.held) >= manyHeld
	p.mu.Unlock()
	if many {
		p.done()
	}
}

// event is one about a message that came.
func (p *program) event(kind history.Kind, m *umf.Message) history.Event {
	e := history.Event{Kind: kind, Mid: m.Mid, SID: sessionOf(m)}
	e.Seq, _ = strconv.ParseUint(m.Header("x-seq"), 10, 64)
	var b body
	if json.Unmarshal(m.Body, &b) == nil {
		e.For = b.For
	}
	return e
}

// sessionOf is the one that a message is addressed to: ID@client:/, also of what a node
// forwards, or, of an answer, NODE-ID@hydra-router:/.
func sessionOf(m *umf.Message) string {
	to := m.To
	if m.Forward != "" {
		to = m.Forward
	}
	instance, _, _ := strings.Cut(to, "@")
	return instance[strings.LastIndexByte(instance, '-')+1:]
}

// send writes to another client, or to a service.
func (p *program) send() {
	c := p.c
	if c.random.IntN(2) == 0 {
		p.ask(c.random.IntN(2) == 0)
		return
	}
	other := c.run.someone(c.random).session()
	if other == "" {
		return // it has not connected yet
	}
	mid := c.run.newMid(history.ByManaged)
	p.call(func(ctx context.Context) {
		c.run.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: other, Source: history.ByManaged})
		err := p.kit.Send(ctx, kit.Message{To: other + "@client:/", Mid: mid, Body: body{For: other}})
		if err == nil {
			c.run.h.Add(history.Event{Kind: history.Stored, Mid: mid, SID: other})
			return
		}
		p.failed(mid, err)
	})
}

// ask asks the service of the kit, or tells the one that knows nothing but NATS, which
// answers by a message of its own.
func (p *program) ask(request bool) {
	c := p.c
	mid := c.run.newMid("question")
	p.call(func(ctx context.Context) {
		c.run.h.Add(history.Event{Kind: history.Ask, Mid: mid, SID: p.kit.Session().ID})
		defer c.run.seen.add(mid)
		told := history.Event{Kind: history.Answered}
		var err error
		if request {
			var answer *umf.Message
			if answer, err = p.kit.Request(ctx, kit.Message{To: serviceName + ":/ask", Mid: mid, Body: 1}); err == nil {
				told = p.event(history.Answered, answer)
				c.run.seen.add(answer.Mid)
			}
		} else {
			err = p.kit.Send(ctx, kit.Message{To: plainName + ":/ask", Mid: mid, Body: 1})
		}
		if err != nil {
			p.failed(mid, err)
			return
		}
		told.Rmid = mid
		c.run.h.Add(told)
	})
}

// calls are what has no outcome yet.
type calls struct {
	all sync.WaitGroup

	mu   sync.Mutex
	over bool
}

// begin counts one; false: there are to be no more.
func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.all.Add(1)
	}
	return !c.over
}

// wait lets none begin, and returns when each has its outcome.
func (c *calls) wait() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.all.Wait()
}

// call does something that ends with an outcome.
func (p *program) call(f func(context.Context)) {
	if !p.c.run.calls.begin() {
		return
	}
	p.calls.Go(func() {
		defer p.c.run.calls.all.Done()
		ctx, cancel := context.WithTimeout(context.Background(), callPatience)
		defer cancel()
		f(ctx)
	})
}

// failed writes down what a call was told. A context that ended before anything was
// written says so, and leaves nothing open.
func (p *program) failed(mid string, err error) {
	told := "unwritten"
	var e *kit.Error
	switch {
	case errors.Is(err, kit.ErrUnknown):
		told = history.ToldUnknown
	case errors.As(err, &e):
		told = e.Code
	}
	p.c.run.h.Add(history.Event{Kind: history.Failed, Mid: mid, Why: err.Error(), Told: told})
}
