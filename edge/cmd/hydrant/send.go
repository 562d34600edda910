package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"hydrant/umf"
)

// sendOptions are the flags of `hydrant send`.
type sendOptions struct {
	url, to, body, secret, resume, token string
	count                                int
	interval, wait                       time.Duration
}

func runSend(ctx context.Context, args []string, out io.Writer) error {
	var o sendOptions
	flags := newFlags("send", "")
	flags.StringVar(&o.url, "url", "ws://localhost:5353", "address of a node")
	flags.StringVar(&o.to, "to", "echo:/", "UMF address to send to")
	flags.StringVar(&o.body, "body", "", "JSON body; else a running number")
	secretFile := flags.String("secret-file", "", "sign with the shared secret in this file; else with the variable UMF_SECRET, if it is set")
	flags.StringVar(&o.resume, "resume", "", "take over this session id first and print what waited")
	flags.StringVar(&o.token, "token", "", "resume secret of that session, which other users of this machine see; else the variable UMF_TOKEN")
	flags.IntVar(&o.count, "count", 1, "messages to send; 0: only listen")
	flags.DurationVar(&o.interval, "interval", time.Second, "time between two messages")
	flags.DurationVar(&o.wait, "wait", 2*time.Second, "time to listen after the last message; 0: until Ctrl-C")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := o.readSecrets(*secretFile); err != nil {
		return err
	}
	switch {
	case o.body != "" && !json.Valid([]byte(o.body)):
		return fmt.Errorf("%w: -body is not JSON", errUsage)
	case o.count < 0:
		return fmt.Errorf("%w: -count is below 0", errUsage)
	case o.count > 0 && !o.sendable():
		return fmt.Errorf("%w: -to and -body must not be empty, null, false or 0", errUsage)
	case !strings.HasPrefix(o.url, "ws://") && !strings.HasPrefix(o.url, "wss://"):
		return fmt.Errorf("%w: -url: %q does not begin with ws:// or wss://", errUsage, o.url)
	}
	return o.run(ctx, out)
}

// readSecrets takes what is in a file or in the environment. It is no flag's default,
// which -h prints.
func (o *sendOptions) readSecrets(file string) (err error) {
	if o.token == "" {
		o.token = os.Getenv("UMF_TOKEN")
	}
	o.secret = os.Getenv("UMF_SECRET")
	if file != "" {
		o.secret, err = readSecret(file)
	}
	return err
}

func (o *sendOptions) run(ctx context.Context, out io.Writer) error {
	c, err := dial(ctx, o.url, o.secret)
	if err != nil {
		return err
	}
	defer c.close()
	fmt.Fprintf(out, "connected as %s\n", c.id)
	if o.resume == "" {
		fmt.Fprintf(out, "resume secret %s\n", c.token)
	} else {
		w, err := c.resume(ctx, o.resume, o.token)
		if err != nil {
			return err
		}
		if w.Resumed == nil || !*w.Resumed {
			fmt.Fprintf(out, "not resumed (%s); still %s\n", w.Why, c.id)
		} else {
			fmt.Fprintf(out, "resumed %s\n", c.id)
		}
	}
	for n := 1; n <= o.count; n++ {
		if err := o.sendOne(ctx, c, n, out); err != nil {
			return err
		}
		if n < o.count {
			if err := c.print(ctx, o.interval, out); err != nil {
				return err
			}
		}
	}
	return c.print(ctx, o.wait, out)
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

func (o *sendOptions) sendOne(ctx context.Context, c *client, n int, out io.Writer) error {
	msg, err := c.post(ctx, o.to, o.payload(n))
	if err != nil {
		return err
	}
	return show(out, ">", msg)
}

// print shows what arrives for the given time; 0: until ctx ends.
func (c *client) print(ctx context.Context, d time.Duration, out io.Writer) error {
	until := ctx
	if d > 0 {
		var cancel context.CancelFunc
		until, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	for {
		msg, err := c.next(until)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return whyClosed(err)
		}
		if err := show(out, "<", msg); err != nil {
			return err
		}
	}
}

func show(out io.Writer, direction string, msg *umf.Message) error {
	text, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s\n", direction, text)
	return err
}
