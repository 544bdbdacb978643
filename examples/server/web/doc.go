// Package web is the church system in a browser: sign-up, sign-in and a church's home page.
//
// The pages are HTML forms and one style sheet. They need no JavaScript, and their Content-Security-Policy allows none.
package web
