namespace Moe.Plugins;

/// <summary>
/// What <c>auto</c> does when a backend that comes first could not be had. That is so in two cases: an id of <see cref="MoeOptions.Order"/>
/// that stands before the chosen backend was not found or cannot run the layer, or a backend that ranked higher failed at making the
/// layer's weights. A backend that is named, not left to <c>auto</c>, is never replaced, whatever this says.
/// </summary>
public enum MoeFallback
{
    /// <summary>The next one runs the layer; the log says so as information.</summary>
    Allow = 0,

    /// <summary>The next one runs the layer; the log warns.</summary>
    Warn,

    /// <summary>It is an error.</summary>
    Forbid,
}
