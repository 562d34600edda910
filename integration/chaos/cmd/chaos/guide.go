package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// The table of recoveries stands in the guide between these lines.
const (
	tableBegins = "<!-- chaos -recovery -into writes this -->\n"
	tableEnds   = "<!-- up to here -->\n"
)

var errNoTable = errors.New("there is no place for a table")

// into puts a table into a file in the place of the one that is there.
func into(name, table string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(text, []byte(tableBegins))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return fmt.Errorf("%w in %s: it is between the lines %q and %q", errNoTable, name, tableBegins, tableEnds)
	}
	var out bytes.Buffer
	for _, part := range [][]byte{before, []byte(tableBegins), []byte("\n" + table + "\n"), []byte(tableEnds), after} {
		out.Write(part)
	}
	return os.WriteFile(name, out.Bytes(), 0o644)
}
