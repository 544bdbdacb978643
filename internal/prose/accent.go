package prose

import "regexp"

// phrase is a turn of words to avoid, and what to write instead. What matches pattern's group is no such turn.
type phrase struct {
	pattern *regexp.Regexp
	instead string
}

// accent returns the phrases. Each leaves the actor out, or hides it in a clause.
func accent() []phrase {
	return []phrase{
		{regexp.MustCompile(`(?i)\b(the |another )?one that\b`), "name the thing"},
		{regexp.MustCompile(`(?i)\bwhom?ever\b`), "name the actor"},
		{
			regexp.MustCompile(`(?:^|[.;:] )[Ww]ho (?:has|is|was|had|waits|asks|takes|comes|keeps|wants|makes|may|can|must)\b`),
			"name the actor",
		},
		{regexp.MustCompile(`(?i)\bnobody (?:waits|is|asks|knows)\b`), "say what does not happen, or to which actor"},
		{regexp.MustCompile(`(?i)\b(?:is|are) told\b`), "say which function is called or what is returned"},
		{regexp.MustCompile(`(?i)\bha(?:s|ve) not the\b`), "does not have the"},
	}
}
