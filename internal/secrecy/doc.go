// Package secrecy holds no code. Its test prints every exported type of every package and looks for secrets.
package secrecy
