package accounts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"hydrant/bus/scheme"
)

// judge compares a configuration with the list of rights.
func judge(c Config, all map[string]any) (faults []string) {
	accounts := all["accounts"].(map[string]any)
	list := listed(c)
	seen := 0
	for name, account := range accounts {
		a := account.(map[string]any)
		users, _ := a["users"].([]any)
		for _, u := range users {
			user := u.(map[string]any)
			seen++
			faults = append(faults, judgeUser(c, name, user, list)...)
		}
		if got, want := shares(a["exports"]), exportsOf(c, name); !maps.Equal(got, want) {
			faults = append(faults, fmt.Sprintf("%s exports %v, and not %v", name, got, want))
		}
		if got, want := shares(a["imports"]), importsOf(c, name); !maps.Equal(got, want) {
			faults = append(faults, fmt.Sprintf("%s imports %v, and not %v", name, got, want))
		}
	}
	if seen != len(c.Users()) || all["system_account"] != System {
		faults = append(faults, fmt.Sprintf("%d users", seen))
	}
	return faults
}

// listed are the rights of all users that are restricted.
func listed(c Config) map[string]rights {
	all := map[string]rights{scheme.UserEdge: spelled(edgeRights, ""), scheme.UserSetup: spelled(setupRights, "")}
	for _, s := range c.Services {
		all[string(s)] = spelled(serviceRights(c.Shared), string(s))
	}
	return all
}

// spelled puts names in.
func spelled(r rights, service string) rights {
	put := func(patterns []string) (all []string) {
		for _, p := range patterns {
			p = strings.ReplaceAll(p, "<service>", service)
			for _, stream := range scheme.StreamNames(Streams) {
				q := strings.ReplaceAll(p, "<stream>", stream)
				if stream != scheme.WorkStream && stream != scheme.ExpiryStream {
					q = strings.ReplaceAll(q, "<read>", stream)
				}
				if strings.HasPrefix(stream, scheme.OutStreamPrefix) {
					q = strings.ReplaceAll(q, "<mailboxes>", stream)
				}
				if !strings.Contains(q, "<") && !slices.Contains(all, q) {
					all = append(all, q)
				}
			}
		}
		return all
	}
	return rights{put(r.publish), put(r.subscribe)}
}

func judgeUser(c Config, account string, user map[string]any, list map[string]rights) (faults []string) {
	name := user["user"].(string)
	home := map[string]string{scheme.UserEdge: Edge, scheme.UserSetup: Edge, scheme.UserAdmin: Edge, scheme.UserSystem: System}[name]
	if home == "" {
		home = c.Account(scheme.Service(name))
	}
	if account != home || user["password"] != name {
		return []string{fmt.Sprintf("%s is in %s, with the password %v", name, account, user["password"])}
	}
	want, restricted := list[name]
	permissions, _ := user["permissions"].(map[string]any)
	if !restricted {
		return nil // admin and sys have all of their account
	}
	if permissions == nil {
		return []string{name + " may do anything"}
	}
	for what, patterns := range map[string][]string{"publish": want.publish, "subscribe": want.subscribe} {
		subjects := universe()
		have, want := covers(allowed(permissions[what]), subjects), covers(patterns, subjects)
		for i := range subjects {
			if have[i] != want[i] {
				return append(faults, fmt.Sprintf("%s may %s %s: %v", name, what, subjects[i], have[i]))
			}
		}
	}
	responses := fmt.Sprint(permissions["allow_responses"])
	if should := map[string]string{scheme.UserEdge: "map[expires:10s max:1]", scheme.UserSetup: "<nil>"}[name]; responses != should && (should != "" || responses != "map[expires:1m0s max:16]") {
		faults = append(faults, name+" may answer "+responses)
	}
	return faults
}

func allowed(list any) (subjects []string) {
	m, _ := list.(map[string]any)
	all, _ := m["allow"].([]any)
	for _, s := range all {
		subjects = append(subjects, s.(string))
	}
	return subjects
}

// covered remembers, for a list of patterns, which subjects of the universe it takes in.
var covered = make(map[string][]bool)

// covers tells which of the subjects are taken in by one of the patterns.
func covers(patterns, subjects []string) []bool {
	key := fmt.Sprint(len(subjects), patterns)
	if known := covered[key]; known != nil {
		return known
	}
	literal, wild := make(map[string]bool), []string(nil)
	for _, p := range patterns {
		if strings.ContainsAny(p, "*>") {
			wild = append(wild, p)
		} else {
			literal[p] = true
		}
	}
	all := make([]bool, len(subjects))
	for i, subject := range subjects {
		all[i] = literal[subject] || slices.ContainsFunc(wild, func(p string) bool { return within(p, subject) })
	}
	covered[key] = all
	return all
}

// within reports whether a pattern takes in a subject, or pattern.
func within(pattern, subject string) bool {
	for {
		p, morePattern, pMore := strings.Cut(pattern, ".")
		s, moreSubject, sMore := strings.Cut(subject, ".")
		switch {
		case p == ">", p == "*" && s == ">" && !pMore: // the latter as nats-server has it
			return true
		case s == ">" || p != "*" && p != s, pMore != sMore:
			return false
		case !pMore:
			return true
		}
		pattern, subject = morePattern, moreSubject
	}
}

// universe are all subjects that are known here, as patterns and with names put in, and
// what is beside each: another name in one of its places, one less, one more.
var universe = sync.OnceValue(func() []string {
	known := []string{
		"$SYS.REQ.SERVER.PING", "$SYS.>", "$JS.API.STREAM.DELETE.UMF_OUT_0", "$JS.API.STREAM.PURGE.UMF_WORK", "$JS.API.STREAM.MSG.DELETE.UMF_OUT_0",
		"$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.CONSUMER.DELETE.UMF_WORK.chat", "$JS.API.STREAM.SNAPSHOT.UMF_OUT_0",
		"$JS.API.META.LEADER.STEPDOWN", "$JS.EVENT.>", "$KV.>", "$O.x", "_R_.x", "_R_.>", "_GR_.>", "_INBOX.>", "_INBOX.x.y", "$NRG.>", "$MQTT.>", "$G.x", "foo", ">", "*", "*.*",
		"umf.>", "umf.v1.>", "umf.v2.svc.chat", "umf.v1.live.*.*", "umf.v1.live.*.*.s", "umf.v1.work.>",
		"$JS.API.CONSUMER.CREATE.UMF_WORK.chat", "$JS.API.CONSUMER.DURABLE.CREATE.UMF_WORK.chat", "$JS.FC.>", "$JS.SNAPSHOT.>",
	}
	for _, r := range listed(forms["isolated"]) {
		known = append(append(known, r.publish...), r.subscribe...)
	}
	for _, r := range listed(forms["shared"]) {
		known = append(append(known, r.publish...), r.subscribe...)
	}
	for _, o := range inside {
		r := spelled(o.list, "")
		for _, subject := range append(r.publish, r.subscribe...) {
			if !laterStream(subject) {
				known = append(known, subject)
			}
		}
	}
	set := make(map[string]bool)
	for _, pattern := range known {
		for _, rest := range []string{"y", "y.z"} {
			concrete := strings.ReplaceAll(pattern, "*", "x")
			if strings.HasSuffix(concrete, ">") {
				concrete = concrete[:len(concrete)-1] + rest
			}
			for _, subject := range []string{pattern, concrete} {
				set[subject] = true
				if !strings.HasSuffix(subject, ">") {
					set[subject+".more"], set[subject+".>"] = true, true
				}
				tokens := strings.Split(subject, ".")
				for i := range tokens {
					for _, other := range []string{"other", "*"} {
						if tokens[i] != ">" {
							one := slices.Clone(tokens)
							one[i] = other
							set[strings.Join(one, ".")] = true
						}
					}
					if i > 0 {
						set[strings.Join(tokens[:i], ".")] = true
						set[strings.Join(tokens[:i], ".")+".>"] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
})

// shares are exports, or imports, each as its kind and subject, and what else is said.
func shares(list any) map[string]string {
	all := make(map[string]string)
	entries, _ := list.([]any)
	for _, entry := range entries {
		e := entry.(map[string]any)
		for _, kind := range []string{"stream", "service"} {
			switch subject := e[kind].(type) {
			case string: // an export
				accounts, limited := e["accounts"].([]any)
				to := "all"
				if limited {
					to = sorted(accounts)
				}
				all[kind+" "+subject] = strings.TrimSpace(fmt.Sprint(to, " ", said(e["response_type"])))
			case map[string]any:
				all[fmt.Sprint(kind, " ", subject["subject"], " of ", subject["account"])] = said(e["to"])
			}
		}
	}
	return all
}

func said(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func sorted(accounts []any) string {
	var all []string
	for _, a := range accounts {
		all = append(all, a.(string))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// of the accounts of services, all but one.
func others(c Config, not scheme.Service) string {
	var all []any
	for _, s := range c.Services {
		if s != not {
			all = append(all, c.Account(s))
		}
	}
	return sorted(all)
}

func exportsOf(c Config, account string) map[string]string {
	all := make(map[string]string)
	if c.Shared || account == System {
		return all
	}
	for _, s := range c.Services {
		switch account {
		case c.Account(s):
			all["service $SRV.>"] = Edge + " stream"
			all["service umf.v1.call."+string(s)] = others(c, s)
		case Edge:
			for _, x := range edgeExports {
				subject := strings.ReplaceAll(x, "<service>", string(s))
				to := others(c, "")
				if subject != x {
					to = c.Account(s)
				}
				if strings.Contains(subject, "MSG.NEXT") {
					to += " stream"
				}
				all[subject] = to
			}
		}
	}
	return all
}

func importsOf(c Config, account string) map[string]string {
	all := make(map[string]string)
	if c.Shared || account == System {
		return all
	}
	for _, s := range c.Services {
		switch account {
		case Edge:
			all["service $SRV.> of "+c.Account(s)] = ""
		case c.Account(s):
			for _, x := range edgeExports {
				subject := strings.ReplaceAll(x, "<service>", string(s))
				to := ""
				if _, api, ok := strings.Cut(subject, "service $JS.API."); ok {
					to = "JS.EDGE." + api
				}
				all[subject+" of "+Edge] = to
			}
			for _, other := range c.Services {
				if other != s {
					all["service umf.v1.call."+string(other)+" of "+c.Account(other)] = ""
				}
			}
		}
	}
	return all
}
