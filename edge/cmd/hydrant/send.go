package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hydrant/edge/client"
	"hydrant/umf"
)

// sendOptions are the flags of `hydrant send`.
type sendOptions struct {
	clientOptions
	to, body       string
	count          int
	interval, wait time.Duration
}

const sendHelp = `
Exit status: 0, each message was accepted (stored for a session; taken by NATS for a
service that is there; answered, where the address has a [METHOD]); 1, no connection, or
it ended for good; 2, wrong flags; 3, a message was refused; 4, it is not known what became
of one, and none was refused. With -json the standard output has a line
{"mid":…,"outcome":…} for each message that was sent, where outcome is accepted or a code,
and each message that came as it is.
`

func runSend(ctx context.Context, args []string, out io.Writer) error {
	var o sendOptions
	flags := newFlags("send", sendHelp)
	o.register(flags)
	flags.StringVar(&o.to, "to", "echo:/", "UMF address to send to")
	flags.StringVar(&o.body, "body", "", "JSON body; else a running number")
	flags.BoolVar(&o.json, "json", false, "print JSON, a line each; who is connected goes to the standard error")
	flags.IntVar(&o.count, "count", 1, "messages to send; 0: only listen")
	flags.DurationVar(&o.interval, "interval", time.Second, "time between two messages")
	flags.DurationVar(&o.wait, "wait", 2*time.Second, "time to listen after the last message; 0: until Ctrl-C")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	switch {
	case o.body != "" && !json.Valid([]byte(o.body)):
		return fmt.Errorf("%w: -body is not JSON", errUsage)
	case o.count < 0:
		return fmt.Errorf("%w: -count is below 0", errUsage)
	case o.count > 0 && !o.sendable():
		return fmt.Errorf("%w: -to and -body must not be empty, null, false or 0", errUsage)
	}
	return o.run(ctx, out)
}

func (o *sendOptions) run(ctx context.Context, out io.Writer) error {
	p := &printer{json: o.json, out: out}
	c, err := o.dial(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := o.connected(p, c.Session()); err != nil {
		return err
	}
	receiving, stop := context.WithCancel(ctx)
	received := make(chan error, 1)
	go func() { received <- p.receive(receiving, c) }()
	err = o.sendAll(ctx, c, p, received)
	stop()
	if end := <-received; end != nil { // for good, which each message of then tells, too
		return end
	}
	return err
}

// connected says which session it is.
func (o *sendOptions) connected(p *printer, s client.Session) error {
	if o.json {
		p = &printer{out: os.Stderr}
	}
	text := o.fresh(s)
	switch {
	case s.Resumed:
		text = "connected as " + s.ID + "\nresumed " + s.ID
	case o.resume != "":
		text += "\nnot resumed (" + s.Why + "); still " + s.ID
	}
	return p.line("%s", text)
}

// sendAll sends the messages and then waits. received has an error when nothing more can
// come, and is then to have it again.
func (o *sendOptions) sendAll(ctx context.Context, c *client.Client, p *printer, received chan error) error {
	refused, unknown := 0, 0
	for n := 1; n <= o.count; n++ {
		err := o.sendOne(ctx, c, p, n)
		if ctx.Err() != nil { // interrupted
			break
		}
		switch {
		case errors.Is(err, client.ErrUnknown):
			unknown++
		case err != nil:
			refused++
		}
		if n < o.count && !rest(ctx, o.interval, received) {
			break
		}
	}
	rest(ctx, o.wait, received)
	text := fmt.Sprintf("of %d messages %d were refused, and what became of %d is not known", o.count, refused, unknown)
	switch {
	case refused > 0:
		return &status{statusRefused, text}
	case unknown > 0:
		return &status{statusUnknown, text}
	}
	return nil
}

// rest waits, 0: until ctx ends, and reports whether that is what has ended.
func rest(ctx context.Context, d time.Duration, received chan error) bool {
	var over <-chan time.Time
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-over:
		return true
	case err := <-received:
		received <- err
	case <-ctx.Done():
	}
	return false
}

// payload is the body of the nth message.
func (o *sendOptions) payload(n int) any {
	if o.body != "" {
		return json.RawMessage(o.body)
	}
	return map[string]int{"n": n}
}

// sendable reports whether address and body can be those of a message.
func (o *sendOptions) sendable() bool {
	m, err := umf.New(o.to, "client:/", o.payload(1))
	if err != nil {
		return false
	}
	text, err := m.AppendShort(nil)
	var e umf.Envelope
	return err == nil && umf.Scan(text, &e) == nil && e.Check() == nil
}

// sendOne sends the nth message and returns what became of it, once that is written.
func (o *sendOptions) sendOne(ctx context.Context, c *client.Client, p *printer, n int) error {
	m, err := umf.New(o.to, c.Session().ID+"@client:/", o.payload(n))
	if err != nil {
		return err
	}
	if err := p.message(">", m); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*patience) // a node may be replaced meanwhile
	defer cancel()
	message := client.Message{To: o.to, Body: m.Body, Mid: m.Mid}
	var answer *umf.Message
	if a, _ := umf.ParseAddress(o.to); a.Method == "" {
		err = c.Send(ctx, message)
	} else if answer, err = c.Request(ctx, message); err == nil {
		err = p.message("<", answer)
	}
	return errors.Join(err, p.outcome(m.Mid, err))
}
