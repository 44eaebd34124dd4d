namespace Moe.Plugins;

/// <summary>The plugins that ended a process, or hung in one, and are not loaded until they are released.</summary>
public static class MoeQuarantine
{
    /// <summary>Releases a plugin, in all of its versions: the next host that finds it tries it again.</summary>
    /// <param name="options">The host's options, which say where the verdicts are kept.</param>
    /// <param name="id">The plugin's id.</param>
    /// <returns>A sentence for each version that was released; none where it was not in quarantine.</returns>
    /// <exception cref="MoeException">The verdicts cannot be written.</exception>
    public static IReadOnlyList<string> Release(MoeOptions options, string id)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentException.ThrowIfNullOrWhiteSpace(id);
        var verdicts = new VerdictStore(StagingFolder.Of(options));
        TrialVerdict[] released =
        [
            .. verdicts.All().Where(verdict => !verdict.IsHarmless && verdict.Id.Equals(id, StringComparison.OrdinalIgnoreCase)),
        ];
        try
        {
            foreach (TrialVerdict verdict in released)
            {
                verdicts.Forget(verdict.Hash);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"The verdict on {id} cannot be deleted: {exception.Message}", exception);
        }

        return [.. released.Select(static verdict => $"{verdict.Id} {verdict.Version} is released: {verdict.Sentence}")];
    }
}
