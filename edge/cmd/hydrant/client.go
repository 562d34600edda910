package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"hydrant/edge/client"
	"hydrant/umf"
)

// patience bounds a step that should take milliseconds.
const patience = 10 * time.Second

// Exit statuses beyond 0, 1 and 2.
const (
	statusRefused = 3
	statusUnknown = 4
)

// status is an error with an exit status of its own.
type status struct {
	code int
	text string
}

func (s *status) Error() string { return s.text }

// clientOptions are the flags of the commands that are clients.
type clientOptions struct {
	url, resume, token, secret string
	json, showSecret           bool

	secretFile string
}

func (o *clientOptions) register(flags *flag.FlagSet) {
	flags.StringVar(&o.url, "url", "ws://localhost:5353", "address of a node; of several, separated by commas")
	flags.StringVar(&o.secretFile, "secret-file", "", "sign with the shared secret in this file; else with the variable UMF_SECRET, if it is set")
	flags.StringVar(&o.resume, "resume", "", "take over this session id and print what waited")
	flags.StringVar(&o.token, "token", "", "resume secret of that session, which other users of this machine see; else the variable UMF_TOKEN")
	flags.BoolVar(&o.showSecret, "show-secret", false, "print the resume secret of a fresh session, which whoever reads it can take over")
}

// check reads what is in a file or in the environment. It is no flag's default, which -h
// prints.
func (o *clientOptions) check() (err error) {
	if o.token == "" {
		o.token = os.Getenv("UMF_TOKEN")
	}
	o.secret = os.Getenv("UMF_SECRET")
	if o.secretFile != "" {
		if o.secret, err = readSecret(o.secretFile); err != nil {
			return err
		}
	}
	for _, url := range strings.Split(o.url, ",") {
		if !strings.HasPrefix(url, "ws://") && !strings.HasPrefix(url, "wss://") {
			return fmt.Errorf("%w: -url: %q does not begin with ws:// or wss://", errUsage, url)
		}
	}
	return nil
}

// fresh are the lines that say which session was made.
func (o *clientOptions) fresh(s client.Session) string {
	text := "connected as " + s.ID
	if o.showSecret {
		text += "\nresume secret " + s.Token
	}
	return text
}

// dial connects, and tells of each connection.
func (o *clientOptions) dial(ctx context.Context, told func(client.Session)) (*client.Client, error) {
	options := client.Options{
		URLs:      strings.Split(o.url, ","),
		Resume:    client.Session{ID: o.resume, Token: o.token},
		OnSession: told,
	}
	if o.secret != "" {
		options.Sign = func(m *umf.Message) error { return m.Sign(o.secret) }
	}
	return client.Dial(ctx, options)
}

// printer writes lines, one at a time.
type printer struct {
	json bool

	mu  sync.Mutex
	out io.Writer
}

func (p *printer) line(format string, args ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.out, format+"\n", args...)
	return err
}

// message writes a message: what was sent behind a ">", what came behind a "<". As JSON
// what was sent is told by its outcome.
func (p *printer) message(direction string, m *umf.Message) error {
	text, err := json.Marshal(m)
	switch {
	case err != nil:
		return err
	case !p.json:
		return p.line("%s %s", direction, text)
	case direction == "<":
		return p.line("%s", text)
	}
	return nil
}

// receive writes what arrives, and then confirms it, until ctx ends.
func (p *printer) receive(ctx context.Context, c *client.Client) error {
	for {
		d, err := c.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := p.message("<", d.Message); err != nil {
			return err
		}
		d.Done()
	}
}

// outcome writes what became of a message.
func (p *printer) outcome(mid string, err error) error {
	var e *client.Error
	word, text := "accepted", ""
	if err != nil {
		word, text = "unknown", err.Error()
		if errors.As(err, &e) {
			word = e.Code
		}
	}
	switch {
	case !p.json && err == nil:
		return nil
	case !p.json:
		return p.line("! %s", text)
	}
	line, err := json.Marshal(struct {
		Mid     string `json:"mid"`
		Outcome string `json:"outcome"`
		Error   string `json:"error,omitempty"`
	}{mid, word, text})
	if err != nil {
		return err
	}
	return p.line("%s", line)
}
