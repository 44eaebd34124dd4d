namespace Moe.Plugins;

/// <summary>
/// One rank's end of a group. All ranks make the same calls in the same order with the same sizes, each on a thread and a stream of its
/// own; 0 rows are a call like any other. What a call enqueues runs behind what the rank's stream holds already.
/// </summary>
/// <remarks>
/// Sums are of float32 and in the order of the ranks, so that all ranks hold equal bits. A call that is wrong in itself is an
/// <see cref="ArgumentException"/> before anything is enqueued; the rank may then make the right one. One call at a time.
/// </remarks>
public interface IMoeCommunicator
{
    /// <summary>This rank, 0 to <see cref="Count"/> − 1.</summary>
    int Rank { get; }

    /// <summary>Ranks of the group.</summary>
    int Count { get; }

    /// <summary>The device that this rank's tensors are on.</summary>
    MoeDevice Device { get; }

    /// <summary>That device's memory, with its streams: for who has no layer there.</summary>
    IMoeMemory Memory { get; }

    /// <summary>
    /// Why the group has ended, as <see cref="IMoeGroup.Failure"/> says; null while it goes on. What was enqueued does not throw: whoever has
    /// waited for it looks here.
    /// </summary>
    MoeException? Failure { get; }

    /// <summary>The sizes that the group was made for.</summary>
    MoeGroupRequest Request { get; }

    /// <summary>
    /// Lends memory that all ranks reach, [rows, <see cref="MoeGroupRequest.Width"/>] of <see cref="MoeGroupRequest.ElementType"/>, for this
    /// rank's part of the sums of the next reduction. Its contents are undefined. Asking again takes back what was lent before.
    /// </summary>
    /// <param name="rows">Rows, 0 to <see cref="MoeGroupRequest.MaxTokens"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are more rows than the group was made for.</exception>
    MoePartial LendPartial(int rows);

    /// <summary>Every rank gets the sum of all ranks' parts.</summary>
    /// <exception cref="ArgumentException">A tensor has another size, type or device than the group.</exception>
    /// <exception cref="InvalidOperationException">The part was reduced already.</exception>
    /// <exception cref="MoeException">The group has ended, now or before: <see cref="IMoeGroup.Failure"/>.</exception>
    void AllReduce(MoeReduceArguments arguments);

    /// <summary>
    /// Every rank gets y = RMSNorm(r) · weight with r = the sum of all ranks' parts + residual, and r itself. r is rounded to its type once,
    /// and the norm is that of the rounded values: r ÷ √(mean of r² + epsilon).
    /// </summary>
    /// <exception cref="ArgumentException">A tensor has another size, type or device than the group, or one that is written overlaps another in part.</exception>
    /// <exception cref="InvalidOperationException">The part was reduced already.</exception>
    /// <exception cref="MoeException">The group has ended, now or before: <see cref="IMoeGroup.Failure"/>.</exception>
    void ReduceAddNorm(MoeReduceAddNormArguments arguments);

    /// <summary>Every rank gets the rows of all ranks, one rank's after another's.</summary>
    /// <exception cref="ArgumentException">
    /// A tensor is on another device, the output is not <see cref="Count"/> times the input or overlaps it in part, or a row has more bytes than the group's; or
    /// <see cref="MoeGatherArguments.Experts"/> has other ids than those of all tokens, no expert, or ranks that do not divide the group's.
    /// </exception>
    /// <exception cref="MoeException">The group has ended, now or before: <see cref="IMoeGroup.Failure"/>.</exception>
    void AllGather(MoeGatherArguments arguments);

    /// <summary>
    /// Whether exchanges of so many rows are so much shorter where they are told the tokens' experts (<see cref="MoeTokenExperts"/>) that it pays to route and to gather
    /// ids and weights before. The same on all ranks. By default it does not.
    /// </summary>
    /// <param name="rows">Tokens that each rank brings.</param>
    /// <param name="topK">Experts of a token.</param>
    /// <param name="tensorCount">Ranks that share each expert.</param>
    bool GainsByRouting(int rows, int topK, int tensorCount) => false;

    /// <summary>Each rank gets its share of the rows of the sum of all ranks' parts: of M rows those from rank · M ÷ count on.</summary>
    /// <exception cref="ArgumentException">
    /// A tensor has another size, type or device than the group, or the rows cannot be shared out evenly; or <see cref="MoeReduceArguments.Experts"/> has other
    /// ids than those of all tokens, no expert, or ranks that do not divide the group's.
    /// </exception>
    /// <exception cref="InvalidOperationException">The part was reduced already.</exception>
    /// <exception cref="MoeException">The group has ended, now or before: <see cref="IMoeGroup.Failure"/>.</exception>
    void ReduceScatter(MoeReduceArguments arguments);

    /// <summary>
    /// Says that this rank cannot go on: ends the group, whose <see cref="IMoeGroup.Failure"/> then names the rank. From any thread; returns
    /// at once; a group that has ended stays as it is.
    /// </summary>
    /// <param name="why">A sentence.</param>
    void Abort(string why);
}
