namespace Moe.Plugins.Cli;

/// <summary>Ranks that are threads of this process.</summary>
internal sealed class ThreadMeeting(IMoeGroup group) : RankMeeting
{
    private readonly Barrier _barrier = new(group.Members.Count);
    private readonly double[] _numbers = new double[group.Members.Count];

    // A rank that does not come has failed, and the group has ended or will.
    public override void Meet()
    {
        while (!_barrier.SignalAndWait(TimeSpan.FromSeconds(1)))
        {
            if (group.Failure is { } failure)
            {
                throw new MoeException(failure.Reason, failure.Message, failure);
            }
        }
    }

    public override double Largest(int index, double own)
    {
        _numbers[index] = own;
        Meet();
        double largest = _numbers.Max();

        // Nobody brings the next number before all have read these.
        Meet();
        return largest;
    }

    public override bool AreEqual(ReadOnlySpan<byte> own) => true;

    public override void Dispose() => _barrier.Dispose();
}
