package config

import (
	"reflect"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// Variable describes one setting, for the configuration table.
type Variable struct {
	Name, Default, Unit, Text string
	Secret                    bool
}

// Variables lists the EDGE_ settings in the order of the table.
func Variables() []Variable { return Describe("EDGE", &Config{}) }

// Describe lists the settings that an envconfig struct declares. spec is a
// pointer to a struct without nested structs; its tags are default, desc, unit
// and secret.
func Describe(prefix string, spec any) []Variable {
	var names strings.Builder
	if err := envconfig.Usagef(prefix, spec, &names, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		panic(err) // spec is not a pointer to a struct: a mistake in the caller
	}
	t := reflect.TypeOf(spec).Elem()
	var list []Variable
	for name := range strings.Lines(names.String()) {
		f := t.Field(len(list))
		v := Variable{
			Name:    strings.TrimSpace(name),
			Default: f.Tag.Get("default"),
			Unit:    f.Tag.Get("unit"),
			Text:    f.Tag.Get("desc"),
			Secret:  f.Tag.Get("secret") == "true",
		}
		if v.Unit == "" && f.Type == reflect.TypeFor[time.Duration]() {
			v.Unit = "duration"
		}
		list = append(list, v)
	}
	return list
}
