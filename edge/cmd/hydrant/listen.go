package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"hydrant/edge/client"
)

const listenHelp = `
Who is connected goes to the standard error, what came to the standard output: with -json
each message as it is, a line each, also one of type gap where messages are lost. A message
is confirmed when its line is written; what was not comes again to whoever resumes the
session. The command comes back by itself when a connection or a node is lost.

Exit status: 0, ended by Ctrl-C or SIGTERM; 1, no connection, or it ended for good: another
one has the session, or the user is refused; 2, wrong flags; 3, the session of -resume is not
there, or not this client's.
`

func runListen(ctx context.Context, args []string, out io.Writer) error {
	var o clientOptions
	flags := newFlags("listen", listenHelp)
	o.register(flags)
	flags.BoolVar(&o.json, "json", false, "print JSON, a line each")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	return o.listen(ctx, &printer{json: o.json, out: out}, &printer{out: os.Stderr})
}

func (o *clientOptions) listen(ctx context.Context, p, about *printer) error {
	first := true
	c, err := o.dial(ctx, func(s client.Session) {
		text := "resumed " + s.ID
		if !s.Resumed {
			text = o.fresh(s)
		}
		if !s.Resumed && !first {
			text = "not resumed (" + s.Why + "): what waited is lost\n" + text
		}
		first = false
		_ = about.line("%s", text) // nobody has to read it
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if s := c.Session(); o.resume != "" && !s.Resumed {
		return &status{statusRefused, fmt.Sprintf("not resumed: %s", s.Why)}
	}
	return p.receive(ctx, c)
}
