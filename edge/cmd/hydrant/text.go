package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// columns is how wide a line of this program is: a terminal's narrowest.
const columns = 80

// wrapped breaks a text into lines that begin with indent, but for the first, which
// begins with first. A word is never broken.
func wrapped(first, indent, text string) string {
	var done strings.Builder
	line, space := first, ""
	for word := range strings.FieldsSeq(text) {
		if wide := utf8.RuneCountInString(line+space+word) > columns; wide && strings.TrimSpace(line) != "" {
			done.WriteString(strings.TrimRight(line, " ") + "\n")
			line, space = indent, ""
		}
		line += space + word
		space = " "
	}
	return done.String() + line + "\n"
}

// fitted breaks the paragraphs of a text that are too wide. Others stay as they are.
func fitted(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		for line := range strings.SplitSeq(p, "\n") {
			if utf8.RuneCountInString(line) > columns {
				inner := strings.TrimLeft(p, "\n")
				paragraphs[i] = p[:len(p)-len(inner)] + wrapped("", "", inner)
				if !strings.HasSuffix(p, "\n") {
					paragraphs[i] = strings.TrimSuffix(paragraphs[i], "\n")
				}
				break
			}
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// isTerminal reports whether lines are read by somebody who has a width.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	about, err := file.Stat()
	return err == nil && about.Mode()&os.ModeCharDevice != 0
}

// printFlags prints the flags of a command, as completion reads them: two spaces, and
// the name.
func printFlags(out io.Writer, flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		kind, text := flag.UnquoteUsage(f)
		if kind != "" {
			kind = " " + kind
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(out, "  -%s%s\n", f.Name, kind)
		fmt.Fprint(out, wrapped("        ", "        ", text))
	})
}

// Times after which a command says what it is at.
const (
	saySoon  = time.Second
	sayAgain = 10 * time.Second
)

// atWork says on standard error what takes longer than a second, and every ten that it
// still does, until done is called or ctx ends. Standard output has the result alone.
func atWork(ctx context.Context, what string) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		began := time.Now()
		wait := time.NewTimer(saySoon)
		defer wait.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-wait.C:
				fmt.Fprintf(os.Stderr, "%s (%d s)\n", what, int(time.Since(began).Seconds()))
				wait.Reset(sayAgain)
			}
		}
	}()
	return func() {
		cancel()
		<-stopped
	}
}
