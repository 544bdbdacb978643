package main

func ofServer() []mutant {
	return []mutant{{
		name: "the host of a request to the example's API",
		file: "examples/server/app.go",
		old:  "Verifier: a.verifier, Identify: o.identify, Logger: a.log, BodyFirst: api.MaxBody,\n\t})\n",
		new:  "Verifier: a.verifier, Logger: a.log, BodyFirst: api.MaxBody,\n\t})\n",
		test: "./examples/server TestNoRequestCrossesTenants",
	}, {
		name: "the host of a request for a page",
		file: "examples/server/web/web.go",
		old:  "Identify: cfg.Identify, ",
		new:  "",
		test: "./examples/server TestNoRequestCrossesTenants",
	}, {
		name: "the route in place of the path in the log",
		file: "examples/server/log.go",
		old:  `slog.String("route", r.Pattern)`,
		new:  `slog.String("route", r.URL.String())`,
		test: "./examples/server TestNoRequestCrossesTenants",
	}, {
		name: "the refusal of other sites at the API",
		file: "examples/server/api/api.go",
		old:  "return a.sites.Handler(a.cfg.Middleware.Handler(a.answer(h)))",
		new:  "return a.cfg.Middleware.Handler(a.answer(h))",
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "the refusal of other sites' forms",
		file: "examples/server/web/protect.go",
		old:  "http.NewCrossOriginProtection().Handler(s.parse(next))",
		new:  "s.parse(next)",
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "the end of the session before a sign-in",
		file: "examples/server/web/account.go",
		old:  "session *accounts.Session) {\n\tif id, err := s.identity(r); err == nil {",
		new:  "session *accounts.Session) {\n\tif id, err := s.identity(r); err == nil && false {",
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "the host of a refresh",
		file: "examples/server/api/auth.go",
		old:  "addressed && tenant != session.Tenant.ID {",
		new:  "addressed && tenant != session.Tenant.ID && false {",
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "the host of a cookie that is refreshed",
		file: "examples/server/web/cookie.go",
		old:  "err == nil && !addressed(r, session.Tenant.ID)",
		new:  "err == nil && !addressed(r, session.Tenant.ID) && false",
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "files that are not listed",
		file: "examples/server/web/web.go",
		old:  `"GET /static/{file}"`,
		new:  `"GET /static/"`,
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "the refusal of members that are not known",
		file: "examples/server/api/json.go",
		old:  "\td.DisallowUnknownFields()\n",
		new:  "",
		test: "./examples/server TestAttackerWithAnAccountGetsNowhere",
	}, {
		name: "the bound of a form",
		file: "examples/server/web/protect.go",
		old:  "\t\tr.Body = http.MaxBytesReader(w, r.Body, maxForm)\n",
		new:  "",
		test: "./examples/server TestPagesSayWhatIsWrong",
	}, {
		name: "the value of a panic kept out of the log",
		file: "examples/server/panic.go",
		old:  `slog.String("panic", describe(value))`,
		new:  `slog.String("panic", fmt.Sprint(value))`,
		test: "./examples/server TestPanicTellsNothingAndGivesTheLeaseBack",
	}, {
		name: "the limit of a header",
		file: "examples/server/run.go",
		old:  "64 << 10",
		new:  "1 << 20",
		test: "./examples/server TestHeaderThatIsTooLargeIsRefused",
	}}
}
