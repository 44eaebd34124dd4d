namespace Moe.Plugins.Conformance;

/// <summary>A rule of how a group ends.</summary>
/// <param name="id">Its name.</param>
/// <param name="statement">What it asks for.</param>
/// <param name="check">Ends a group.</param>
internal sealed class GroupEndRule(string id, string statement, Action<RuleRun, GroupUnderTest> check) : ConformanceRule(id, statement)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(1);

    public static IReadOnlyList<ConformanceRule> All { get; } =
    [
        new GroupEndRule(
            "group-missing-rank",
            "A rank that does not come ends the group, not the process: the others return soon after the group's time limit and are told, and a new group can be made.",
            MissingRank),
        new GroupEndRule(
            "group-unequal-calls", "A rank that brings other rows than the others ends the group, and no rank is left waiting.", UnequalCalls),
        new GroupEndRule("group-abort", "A group that is aborted from another thread lets go whoever waits, and refuses later calls.", Abort),
        new GroupEndRule("group-part-once", "A part of a sum is reduced once, by the rank that it was lent to, and wrong sizes are refused before anybody waits.", PartOnce),
    ];

    internal override void Check(RuleRun run)
    {
        using (GroupUnderTest? group = GroupUnderTest.Create(run, GroupSize.Small, Timeout, out string refusal))
        {
            if (group is null)
            {
                run.NotSupported(refusal);
                return;
            }

            check(run, group);
        }

        // Whatever became of that one.
        using GroupUnderTest next = GroupUnderTest.Create(run, GroupSize.Small, Timeout, out _)!;
        Exception?[] errors = next.Run(member => GroupUnderTest.Reduce(member, 2));
        if (errors.FirstOrDefault(error => error is not null) is { } error)
        {
            run.Fail("a new group that works", ExceptionText.NameAndMessage(error));
        }
    }

    private static void MissingRank(RuleRun run, GroupUnderTest group)
    {
        Exception?[] errors = group.Run(member =>
        {
            if (member.Rank != 1)
            {
                GroupUnderTest.Reduce(member, 2);
            }
        });
        RequireEnd(run, group, [errors[0], errors[2]], MoeReason.TimedOut, MoeReason.PeerFailed);
    }

    private static void UnequalCalls(RuleRun run, GroupUnderTest group)
    {
        Exception?[] errors = group.Run(member => GroupUnderTest.Reduce(member, member.Rank == 1 ? 3 : 2));
        RequireEnd(run, group, errors, MoeReason.ContractBroken, MoeReason.TimedOut);
    }

    private static void Abort(RuleRun run, GroupUnderTest group)
    {
        Exception?[] errors = group.Run(
            member =>
            {
                if (member.Rank == 0)
                {
                    GroupUnderTest.Reduce(member, 2);
                }
            },
            () =>
            {
                Thread.Sleep(100);
                group.Group.Abort("The kit ends it.");
            });
        RequireEnd(run, group, [errors[0]], MoeReason.PeerFailed);
        try
        {
            group.Group.Members[1].LendPartial(1);
            run.Fail($"a {nameof(MoeException)} from a call of a group that has ended", "none");
        }
        catch (MoeException)
        {
            // As it should be.
        }
    }

    private static void PartOnce(RuleRun run, GroupUnderTest group)
    {
        MoePartial[] lent = new MoePartial[group.Group.Members.Count];
        using var everybody = new Barrier(lent.Length);
        Exception?[] errors = group.Run(member =>
        {
            using var output = new MoeBuffer(member.Memory, member.Request.ElementType, GroupSize.MaxTokens, member.Request.Width);

            // Its own: on a stream of several ranks one's call would run behind another's, which waits for it.
            nint stream = member.Memory.CreateStream();
            try
            {
                MoePartial partial = lent[member.Rank] = member.LendPartial(2);
                everybody.SignalAndWait();
                Refuses<ArgumentException>(member, lent[(member.Rank + 1) % lent.Length], output.View.FirstRows(2), "another rank's part");
                Refuses<ArgumentException>(member, partial, output.View.FirstRows(3), "an output of other rows");
                member.Memory.Zero(partial.View.Address, 2 * partial.View.RowBytes, stream);
                member.Memory.Synchronize(stream);
                everybody.SignalAndWait();
                member.AllReduce(new MoeReduceArguments { Partial = partial, Output = output.View.FirstRows(2), Stream = stream });
                GroupUnderTest.Wait(member, stream);
                Refuses<InvalidOperationException>(member, partial, output.View.FirstRows(2), "a part that was reduced already");
            }
            finally
            {
                member.Memory.DestroyStream(stream);
            }
        });
        foreach (Exception error in errors.OfType<Exception>())
        {
            run.Fail("wrong calls refused, and the right one done", ExceptionText.NameAndMessage(error));
        }
    }

    private static void Refuses<T>(IMoeCommunicator member, MoePartial partial, MoeTensorView output, string what)
        where T : Exception
    {
        try
        {
            member.AllReduce(new MoeReduceArguments { Partial = partial, Output = output });
        }
        catch (T)
        {
            return;
        }

        throw new InvalidOperationException($"Rank {member.Rank} took {what}; a {typeof(T).Name} was expected.");
    }

    private static void RequireEnd(RuleRun run, GroupUnderTest group, IEnumerable<Exception?> errors, params MoeReason[] reasons)
    {
        foreach (Exception? error in errors)
        {
            if (error is not MoeException)
            {
                run.Fail($"a {nameof(MoeException)} for every rank that waited", error is null ? "a rank that returned as if nothing had happened" : ExceptionText.NameAndMessage(error));
            }
        }

        if (group.Group.Failure is not { } failure)
        {
            run.Fail($"{nameof(IMoeGroup)}.{nameof(IMoeGroup.Failure)} that says why", "null");
        }
        else if (!reasons.Contains(failure.Reason))
        {
            run.Fail($"{nameof(IMoeGroup)}.{nameof(IMoeGroup.Failure)} for {string.Join(" or ", reasons)}", $"{failure.Reason}: {failure.Message}");
        }
    }
}
