package main

func ofFleet() []mutant {
	return []mutant{{
		name: "an Open that fails closes what it has opened",
		file: "fleet/open.go",
		old:  "return nil, errors.Join(err, f.Close(undo))",
		new:  "_ = undo\n\treturn nil, err",
		test: "./fleet TestOpenThatIsCancelledAnywhereLeavesNothing",
	}, {
		name: "a cancelled Open takes its share of the connections back",
		file: "fleet/open.go",
		old:  "f.sharing = start(context.WithoutCancel(ctx), \"budget share\", f.share.Run)\n\t\treturn err",
		new:  "return err",
		test: "./fleet TestOpenThatIsCancelledAnywhereLeavesNothing",
	}, {
		name: "no pool of a tenant begins with the administrator's password",
		file: "fleet/config.go",
		old:  "\tbase.ConnConfig.Password = \"\"\n",
		new:  "",
		test: "./fleet TestHooksEditEachPartOnce",
	}, {
		name: "the cut of connections to the registry",
		file: "fleet/close.go",
		old:  "\tf.conns.cut()\n",
		new:  "",
		test: "./fleet TestCloseIsBoundedWhateverIsInFlight",
	}}
}
