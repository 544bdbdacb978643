package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/pgtenancy/pgtenancy/internal/pgtest"
)

// TestChurchInABrowser signs a church up in Chromium, adds a member and a message, signs out and in again; then the
// same with JavaScript switched off.
func TestChurchInABrowser(t *testing.T) {
	r := start(t, setup{prefix: "browser_"})
	t.Run("with JavaScript", func(t *testing.T) { walkChurch(t, r, "Anne") })
	t.Run("without JavaScript", func(t *testing.T) {
		walkChurch(t, r, "Mary", noScript())
	})
}

// noScript switches the page's own JavaScript off.
func noScript() action {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

func walkChurch(t *testing.T, r *running, name string, first ...action) {
	tab := newTab(t)
	page := &page{t: t, ctx: tab, name: name}
	page.do("start", append(first, chromedp.Navigate(r.url), click(`.hero .button`))...)
	page.do("sign up with nothing", visible(`input[name=churchName]`), click(`main form button`), visible(`#email-error`))
	page.see(`#churchName-error`, "is required")
	page.do("sign up", visible(`input[name=churchName]`),
		fill(`#churchName`, "St "+name), fill(`#firstName`, "Ann"), fill(`#lastName`, "Lee"),
		fill(`#email`, name+"@example.org"), fill(`#password`, password), click(`main form button`), visible(`#database`))
	page.see(`h1`, "St "+name)
	page.see(`#database`, "browser_")

	page.do("add a member", fill(`#firstName`, "Grace"), fill(`#lastName`, "Hopper"), fill(`#email`, "grace@example.net"),
		click(`#members form button`), visible(`.done`), visible(`#members table`))
	page.see(`#members table`, "Grace Hopper")
	page.do("add a bad member", fill(`#firstName`, "No"), fill(`#email`, "nobody"), click(`#members form button`),
		visible(`#email-error`))
	page.see(`#lastName-error`, "is required")
	page.do("add a message", fill(`#subject`, "Summer fair"), fill(`#body`, "On Sunday, after the service."),
		chromedp.SendKeys(chromedp.CSS(`#send`), "Send"), click(`#messages form button`), visible(`#messages li`))
	page.see(`#messages li`, "Summer fair")
	page.see(`#messages li`, "1 recipient")

	page.do("sign out", click(`nav form button`), visible(`.hero`))
	page.do("sign in with a wrong password", click(`nav a[href="/signin"]`), visible(`#password`),
		fill(`#email`, name+"@example.org"), fill(`#password`,
			"wrong password"), click(`main form button`), visible(`.banner.error`))
	page.do("sign in", fill(`#password`, password), click(`main form button`), visible(`#members table`))
	page.see(`#members table`, "Grace Hopper")
	page.see(`#messages li`, "Summer fair")
	page.do("narrow", chromedp.EmulateViewport(375, 800), visible(`#database`))
}

// chromium finds a browser where scripts/ensure.sh does. Without one, the test is skipped, or fails in CI.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell", "chrome",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	pgtest.Missing(t, "this test needs Chromium: apt-get install --no-install-recommends chromium fonts-dejavu-core")
	return ""
}

// newTab starts a Chromium with a profile of its own, gone at the end of the test.
func newTab(t *testing.T) context.Context {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1200, 900),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.WSURLReadTimeout(time.Minute), // until it has started, on a busy machine
	}
	for _, flag := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update",
		"disable-sync",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	ctx, closeBrowser := chromedp.NewExecAllocator(ctx, options...)
	tab, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(tab) // waits until the browser has ended, and its profile can be removed
		closeTab()
		closeBrowser()
		cancel()
	})
	return tab
}

// page is a browser's tab, and what to call it.
type page struct {
	t    *testing.T
	ctx  context.Context
	name string
}

// do acts, and writes a PNG of the page to the directory that PGTENANCY_PICTURES names. The README's picture is one.
func (p *page) do(what string, actions ...action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	if what == "start" {
		ctx, cancel = p.ctx, func() {} // the browser lives as long as the context it was started with
	}
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	p.picture(what)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p *page) picture(what string) {
	dir := os.Getenv("PGTENANCY_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Logf("no picture of %s: %v", what, err)
		return
	}
	name := strings.ReplaceAll(p.name+" "+what, " ", "-") + ".png"
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o600); err != nil {
		p.t.Error(err)
	}
}

// see demands a text in an element.
func (p *page) see(selector, want string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.Contains(text, want) {
		p.t.Errorf("%s is %q, want %q", selector, text, want)
	}
}

type action = chromedp.Action[chromedp.Void]

func visible(selector string) action { return chromedp.WaitVisible(chromedp.CSS(selector)) }

func click(selector string) action { return chromedp.Click(chromedp.CSS(selector)) }

func fill(selector, value string) action { return chromedp.SendKeys(chromedp.CSS(selector), value) }
