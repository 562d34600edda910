//go:build haproxy || docker

package deploy

import (
	"context"
	"encoding/json"
	"strings"

	"hydrant/edge/client"
	"hydrant/integration/chaos/history"
)

// beginProgram connects as a program does that uses edge/client, which comes back by
// itself. Of its connections it sees how each began.
func (c *loadClient) beginProgram(ctx, reading context.Context) error {
	program, err := client.Dial(ctx, client.Options{URLs: []string{c.load.url}, OnSession: c.connected})
	if err != nil {
		return err
	}
	c.load.readers.Go(func() {
		defer program.Close()
		for {
			d, err := program.Receive(reading)
			if err != nil {
				if reading.Err() == nil {
					c.load.history.Add(history.Event{Kind: history.Ended, SID: c.sid, Why: err.Error()})
				}
				return
			}
			c.took(d)
		}
	})
	return nil
}

func (c *loadClient) connected(s client.Session) {
	e := history.Event{Kind: history.Open, Conn: c.load.conn(), SID: s.ID, Class: c.class}
	switch {
	case c.sid == "":
		c.sid = s.ID
	case s.Resumed:
		e.Kind = history.Resumed
	default:
		e.Kind, e.SID, e.Why = history.Denied, c.sid, s.Why
	}
	c.load.history.Add(e)
}

// took writes down what the program is given.
func (c *loadClient) took(d *client.Delivery) {
	defer d.Done()
	e := history.Event{Kind: history.Receive, SID: c.sid, Mid: d.Mid}
	switch {
	case d.Gap != nil:
		e.Kind, e.Mid, e.From, e.To, e.Why = history.Gap, "", d.Gap.From, d.Gap.To, d.Gap.Why
	case strings.HasPrefix(d.Mid, "load-"):
		var body struct{ For string }
		if json.Unmarshal(d.Body, &body) == nil {
			e.For = body.For
		}
	default:
		return
	}
	c.load.history.Add(e)
	c.mu.Lock()
	c.got[d.Mid] = true
	c.mu.Unlock()
}
